"""LaTeX macros for a paper's text: each claim's verdict and main number, and how many cells they rest on.

LaTeX allows letters alone in a macro's name, so names spell out digits: `\\rtVerdictCOne` is the verdict on claim C1
over all data sets, and `\\rtEffectCOneDigits` the effect of C1 on the data set digits. `\\rtLowCOneDigits` and
`\\rtHighCOneDigits` are the ends of its 95 % interval, `\\rtSeedsCOneDigits` is the number of seeds.
"""

import itertools
import re
import string
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas

from ranktwo.evidence.claims.judging import STATUSES
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.wording import number

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


class Macro(NamedTuple):
    """A LaTeX macro."""

    name: str
    """Letters alone, without the backslash."""
    value: str
    meaning: str
    """For the comment beside it."""


def letters(name: str) -> str:
    """The name in letters alone: `digits-3v8` becomes `DigitsThreeVEight`."""
    parts = re.findall(r"[A-Za-z]+|\d", name)
    return "".join(DIGITS[int(part)] if part.isdigit() else part[0].upper() + part[1:] for part in parts)


def typeset(value: float) -> str:
    """The number to three digits in LaTeX, for text and mathematics alike; two dashes where it is undefined.

    A number such as 1.21e-07 is shown as a product with a power of ten.
    """
    if pandas.isna(value):
        return "--"
    mantissa, _, exponent = number(value).partition("e")
    return f"\\ensuremath{{{mantissa}" + (f"\\times 10^{{{int(exponent)}}}" if exponent else "") + "}"


def macros(rows: pandas.DataFrame, cells: pandas.DataFrame) -> Iterator[Macro]:
    """The macros, from rows of verdicts.parquet and of gaps.parquet."""
    counts = cells["status"].value_counts()
    yield Macro("rtCells", str(len(cells)), "all cells of the study")
    for status in STATUSES:
        yield Macro(f"rt{letters(status)}Cells", str(counts.get(status, 0)), f"cells that ended {status}")
    yield Macro("rtSplits", str(cells["split"].nunique()), "splits of the study")
    yield Macro("rtSeeds", str(cells["seed"].nunique()), "seeds of the study")
    yield Macro("rtDataSets", str(cells["dataset"].nunique()), ", ".join(cells["dataset"].unique()))
    for row in rows[rows["headline"]].itertuples():
        place = "" if row.dataset == OVERALL else letters(row.dataset)
        name = letters(row.claim) + place
        basis = f"{row.claim}, {row.dataset}: {row.cells} cells, {row.seeds} seeds; `rests_on` in verdicts.parquet"
        yield Macro(f"rtVerdict{name}", row.verdict, basis)
        if place:
            for what, value in (("Effect", row.effect), ("Low", row.low), ("High", row.high)):
                yield Macro(f"rt{what}{name}", typeset(value), row.effect_name)
            yield Macro(f"rtSeeds{name}", str(row.seeds), basis)


def to_latex(macros: Iterable[Macro], origin: str) -> str:
    """A \\newcommand for each macro; `origin`, what the numbers were made from, is a comment at the beginning.

    Names of data sets may differ in other characters than letters and digits alone. Of macros that would have one name
    the second ends in B, the third in C, and so on.
    """
    used: set[str] = set()
    lines = [f"% From {origin}. Undefined is --."]
    for macro in macros:
        candidates = (macro.name + ending for ending in itertools.chain([""], string.ascii_uppercase[1:]))
        name = next(candidate for candidate in candidates if candidate not in used)
        used.add(name)
        lines.append(f"\\newcommand{{\\{name}}}{{{macro.value}}} % {macro.meaning}")
    return "\n".join(lines) + "\n"
