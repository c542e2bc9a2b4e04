"""Order and size of jobs: which stack trains first, and in how many processes a job runs."""

from collections.abc import Mapping
from typing import Any

from ranktwo.study.axes import Cell

DEFAULT_TRAIN_SIZE = 1000
"""Rows assumed of a data set that is not prepared yet, for the order of full-batch trainings."""


def priorities(stacks: Mapping[str, list[Cell]]) -> dict[str, int]:
    """Priority of each stack's training: the longest starts first, so that it is not left alone at the end.

    Work is counted by steps, rows and hidden units, which are known before the data are prepared.
    """
    ordered = sorted(stacks, key=lambda stack: _work(stacks[stack]))
    return {stack: rank for rank, stack in enumerate(ordered, start=1)}


def _work(cells: list[Cell]) -> int:
    """About how long a stack trains, in steps times rows times hidden units."""
    first = cells[0]
    rows = (first.train_size or DEFAULT_TRAIN_SIZE) if first.batch_size == "full" else int(first.batch_size)
    return sum(cell.steps for cell in cells) * (10 + rows) * sum(first.widths)


def share(part: float, snakemake: Any, most: int) -> int:
    """Processes of a job: its part of the cores that Snakemake may use, at least one and at most so many.

    On a cluster each job has its own machine: one process, or what --set-threads or the profile says.
    """
    cores = snakemake.resource_settings.cores or 1 if snakemake.local_exec and not snakemake.remote_exec else 1
    return max(1, min(round(part * cores), most))
