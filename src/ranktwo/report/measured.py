"""Matrices of files of weights for people: a table on the screen, and a figure of their singular values."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import tabulate
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ranktwo.report.drawing.panels import say
from ranktwo.report.drawing.style import COLOURS, WIDTHS, decay_map, ranktwo_style
from ranktwo.store.files import replacing

Rows = list[dict[str, Any]]
NOT_SHOWN = ("file", "rows", "columns", "singular_values", "nuclear_norm", "schatten_half", "participation_ratio")
FORMATS = (".png", ".pdf", ".svg")
"""Of the figure."""
LEAST = 1e-9
"""Shown at the lower edge of the figure; what lies below is rounding."""


def text(rows: Rows, left_out: dict[str, int]) -> str:
    """A table of each file's matrices, without columns that are empty in all of them.

    left_out: of each file, how many tensors were not measured because they have fewer than two dimensions.
    """
    shown = [name for name in rows[0] if name not in NOT_SHOWN and any(row[name] is not None for row in rows)]
    parts = []
    for file, own in groupby(rows, key=lambda row: row["file"]):
        lines = [[_cell(row[name]) for name in shown] for row in own]
        aligned = ["left" if name in ("tensor", "shape", "remark") else "right" for name in shown]
        headings = [name.replace("_", "\n") for name in shown]
        table = tabulate.tabulate(lines, headers=headings, colalign=aligned, disable_numparse=True)
        head = f"{file}: matrices: {len(lines)}; tensors of fewer than two dimensions, left out: {left_out[file]}"
        parts.append(f"{head}\n\n{table}")
    return "\n\n".join(parts)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def draw(rows: Rows, path: Path) -> None:
    """Draw the singular values of every matrix over its norm, a line each."""
    drawn_rows = [row for row in rows if row["norm"]]
    with ranktwo_style():
        drawn = Figure(figsize=(WIDTHS["page"], 3.4))
        axes = drawn.subplots()
        axes.set(xlabel="index $i$", ylabel="$s_i(W)\\,/\\,\\|W\\|$", xscale="log", yscale="log")
        few = len(drawn_rows) <= len(COLOURS)
        map_of, place = decay_map(), Normalize(1, max(2, len(drawn_rows)))
        for number, row in enumerate(drawn_rows, start=1):
            s = np.array(row["singular_values"]) / row["norm"]
            colour = COLOURS[number - 1] if few else map_of(place(number))
            # One point has no line.
            axes.plot(np.arange(1, len(s) + 1), s, color=colour, label=row["tensor"], marker="o" if len(s) == 1 else "")
        if not drawn_rows:
            say(axes, "no matrix with finite entries that are not all zero")
        elif few:
            drawn.legend(loc="outside right upper")
        else:
            drawn.colorbar(ScalarMappable(place, map_of), ax=axes, label="matrix, in the order of the table")
        axes.set_ylim(bottom=max(LEAST, axes.get_ylim()[0]))
        with replacing(path) as temporary:
            drawn.savefig(temporary, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)
