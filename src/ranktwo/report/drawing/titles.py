"""The text of titles and labels: what several figures say, where it may break, and how it reads on one line."""

import re

import pandas

from ranktwo.study.axes import REPLICATE, title_part

RESIDUALS = {f"residual_{r}": f"$d_{r}/\\|V\\|$" for r in (1, 2, 3)}
"""Columns of V's distances from rank one, two and three, and their names."""
NO_PENALTY = "no two-layer net was trained with a decay that is a penalty"
"""What a figure of the decayed loss says where no cell has one."""


def unbroken(text: str) -> str:
    """The text with spaces at which no line breaks."""
    return text.replace(" ", "\u00a0")


def plain(text: str) -> str:
    """The text on one line, with ordinary spaces."""
    return text.replace("\u00a0", " ").replace("\n", ", ")


SPOKEN = {r"\|": "||", r"\mu": "\u03bc", r"\eta": "\u03b7", r"\varepsilon": "\u03b5", r"\,": " ", r"\mathrm": ""}
"""LaTeX of labels, and how it reads where nothing is typeset."""


def spoken(text: str) -> str:
    """The text without the marks of LaTeX."""
    for latex, word in SPOKEN.items():
        text = text.replace(latex, word)
    return re.sub(r"[${}\\]", "", text)


def counted(title: str, least: int, most: int) -> str:
    """The title with the number of replicates that a panel shows, or the least and the greatest number."""
    count = f"{least}" if least == most else f"{least} to {most}"
    return f"{title} {unbroken(f'($n$ = {count})')}"


def one_net(cell: pandas.Series, cells: pandas.DataFrame) -> str:
    """Weight decay, seed and, where `cells` have several, split of the one cell that a panel shows."""
    axes = ["weight_decay", *(axis for axis in REPLICATE if axis == "seed" or cells[axis].nunique() > 1)]
    return ", ".join(unbroken(title_part(axis, cell[axis])) for axis in axes)
