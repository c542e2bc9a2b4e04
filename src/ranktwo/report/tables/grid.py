"""The table of the grid: what was trained, and how it ended."""

import pandas

from ranktwo.evidence.wording import short
from ranktwo.report.tables.tabulating import Table, counts, table
from ranktwo.study.axes import FAMILY, REPLICATE, heading


@table
def grid(rows: pandas.DataFrame) -> Table:
    """The grid as it was run: the values of every axis, and how each family of cells ended."""
    lines = []
    for values, cells in rows.groupby(FAMILY, sort=False):
        line = {heading(axis): short(value) for axis, value in zip(FAMILY, values, strict=True)}
        line["weight decays"] = " ".join(short(value) for value in sorted(cells["weight_decay"].unique()))
        for axis in REPLICATE:
            line[f"{axis}s"] = " ".join(str(value) for value in sorted(cells[axis].unique()))
        lines.append(line | {"cells": str(len(cells)), "status": counts(cells)})
    frame = pandas.DataFrame(lines)
    return Table(frame, frame)
