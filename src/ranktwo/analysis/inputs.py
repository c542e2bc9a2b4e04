"""What an analysis is given, and how one is registered.

An analysis is a function of `Inputs` that returns one Parquet table for the cells of a stack. It is marked with
`@analysis` in any file of this package; the workflow finds it by that mark and writes `results/NAME/{stack}.parquet`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow

from ranktwo.data.dataset import Dataset
from ranktwo.errors import UserError
from ranktwo.progress import Progress, over
from ranktwo.store.records import Record, read_records
from ranktwo.study.grid import cell_name
from ranktwo.study.jobs import Job


@dataclass(kw_only=True)
class Inputs:
    """What training left of a stack, and what it was trained on."""

    stack: str
    records: dict[str, Record]
    """By cell, in the order of the job."""
    data: Dataset
    """With inputs in float64."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The section of the config that the analysis asked for."""

    def progress(self, name: str, total: int, unit: str) -> Progress:
        """A line that says how far the analysis is."""
        return Progress(self._line(name), total, unit)

    def cells(self, name: str) -> Iterator[tuple[str, Record]]:
        """The cells and their records, one after the other, with a line that says how many of them are done."""
        return over(self.records.items(), self._line(name), "cells")

    def _line(self, name: str) -> str:
        return f"{self.stack}: {name} of {len(self.records)} cells"


Make = Callable[[Inputs], pyarrow.Table]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A registered analysis."""

    rows: str
    """What there is a row for."""
    schema: Callable[[], pyarrow.Schema]
    """Of its table."""


ANALYSES: dict[str, Analysis] = {}


def analysis(
    *, rows: str, schema: Callable[[], pyarrow.Schema], settings: str = "", on_demand: bool = False
) -> Callable[[Make], Make]:
    """Register an analysis under its function's name.

    rows: what its table has a row for, such as `cell, snapshot and matrix`. Where there are rows of several matrices
    or snapshots, gaps.parquet shows V's after training, and layers.parquet every matrix's.
    schema: gives the table's schema.
    settings: the section of the config that it reads, if any.
    on_demand: whether it is made only where a figure of the study reads it; no column of gaps.parquet comes of it.
    """

    def register(make: Make) -> Make:
        ANALYSES[make.__name__.replace("_", "-")] = Analysis(rows=rows, schema=schema)
        return make

    return register


def load_records(job: Job, weights: Path, history: Path) -> dict[str, Record]:
    """Records of a job's cells by name, in the job's order, at the snapshots whose weights were kept.

    UserError if the two files lack a cell.
    """
    records = read_records(weights, history)
    names = [cell_name(cell, job.options) for cell in job.cells]
    missing = [name for name in names if name not in records]
    if missing:
        raise UserError(
            f"{weights} lacks {len(missing)} cells, {missing[0]} for one; "
            "run snakemake with `--forcerun train`, which trains no more than those"
        )
    return {name: records[name].of_weights() for name in names}
