"""Which cells a figure draws and a table averages, by how they ended."""

import pandas

ALIVE = ("ok", "unfit")
"""Statuses of cells that ended with a net: one that may not fit, but neither collapsed to zero nor diverged."""


def alive(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Those of rows of cells that ended with a net."""
    return rows[rows["status"].isin(ALIVE)]
