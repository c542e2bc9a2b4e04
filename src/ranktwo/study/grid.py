"""Cells, the points of a study's grids, and the stacks that train them together."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ranktwo.errors import UserError
from ranktwo.store.canonical import short_hash
from ranktwo.store.fingerprints import fingerprint
from ranktwo.study.axes import AXES, Cell

MOST_CELLS = 200_000
MOST_IN_STACK = 10_000


def cell_of(facts: Mapping[str, Any]) -> Cell:
    """The cell of a record's facts, with numbers for `all rows` and `full`, which train it alike."""
    axes = {axis: facts[axis] for axis in AXES}
    return Cell(**axes | {"widths": tuple(map(int, axes["widths"].split("-")))})


def cell_name(cell: Cell, options: dict[str, Any]) -> str:
    """The cell's name in every file: its axes, and a hash of them and of its data set's options."""
    return f"{cell.slug(tuple(AXES))}_{short_hash([asdict(cell), options])}"


def expand(grids: list[dict[str, Any]]) -> list[Cell]:
    """The union of grids, each the product of its axes' values, in order and without duplicates.

    Raises UserError, before any memory is spent, if there are more than MOST_CELLS combinations.
    """
    grids = [
        {axis: values if isinstance(values, list) else [values] for axis, values in grid.items()} for grid in grids
    ]
    count = sum(math.prod(len(values) for values in grid.values()) for grid in grids)
    if count > MOST_CELLS:
        raise UserError(f"grids: {count:,} cells are asked for, and {MOST_CELLS:,} are the most; name fewer values")
    cells = (Cell(**_typed(point)) for grid in grids for point in _product(grid))
    return list(dict.fromkeys(cells))


def _product(grid: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _typed(point: dict[str, Any]) -> dict[str, Any]:
    """The point with one type an axis, so that 1 and 1.0, or 64 and [64], are the same value."""
    point = dict(point)
    for axis in ("label_noise", "learning_rate", "weight_decay"):
        if axis in point:
            point[axis] = float(point[axis])
    for axis in ("train_size", "steps", "seed", "batch_size"):
        if isinstance(point.get(axis), float):
            point[axis] = int(point[axis])
    if "widths" in point:
        widths = point["widths"]
        point["widths"] = tuple(widths) if isinstance(widths, list) else (widths,)
    return point


def stacks(cells: list[Cell], stacked: list[str], datasets: dict[str, dict[str, Any]]) -> dict[str, list[Cell]]:
    """Cells by the stack that trains them: those that agree on every axis not in `stacked`.

    A stack's name depends on what its cells share, so that it stays when a stacked axis grows.
    """
    split = tuple(axis for axis in AXES if axis not in stacked)
    result: dict[str, list[Cell]] = {}
    for cell in cells:
        shared = {axis: value for axis, value in asdict(cell).items() if axis in split}
        name = f"{cell.slug(split)}_{short_hash([shared, datasets[cell.dataset]])}"
        result.setdefault(name, []).append(cell)
    for name, members in result.items():
        if len(members) > MOST_IN_STACK:
            raise UserError(
                f"stack: {name} has {len(members):,} cells, and {MOST_IN_STACK:,} are the most; "
                "take an axis with many values out of `stack`"
            )
    return result


def identity(cell: Cell, checksum: str, snapshots: int) -> str:
    """A hash of all that determines a cell's numbers: its axes, its data set's checksum, the snapshots and the code."""
    code = fingerprint("train", optimizer=cell.optimizer, schedule=cell.schedule, decay_rule=cell.decay_rule)
    return short_hash([asdict(cell), checksum, snapshots, code])
