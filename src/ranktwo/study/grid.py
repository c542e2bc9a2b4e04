"""Cells, the points of a study's grids, and the stacks that train them together."""

import itertools
import math
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from ranktwo.errors import UserError
from ranktwo.store.canonical import short_hash
from ranktwo.store.fingerprints import fingerprint
from ranktwo.study import ranges
from ranktwo.study.axes import AXES, Axis, Cell, widths_of

MOST_CELLS = 200_000
MOST_IN_STACK = 10_000


def cell_of(facts: Mapping[str, Any]) -> Cell:
    """The cell of a record's facts, with numbers for `all rows` and `full`, which train it alike."""
    return Cell(**{name: facts[name] for name in AXES} | {"widths": widths_of(facts["widths"])})


def cell_name(cell: Cell, options: dict[str, Any]) -> str:
    """The cell's name in every file: its axes, and a hash of them and of its data set's options."""
    return f"{cell.slug(tuple(AXES))}_{short_hash([cell.counted(AXES), options])}"


def expand(grids: list[dict[str, Any]]) -> list[Cell]:
    """The union of grids, each the product of its axes' values, in the axes' order and without duplicates.

    Raises UserError, before any memory is spent, if there are more than MOST_CELLS combinations.
    """
    check_count(grids)
    cells: dict[Cell, None] = {}
    for product in itertools.chain.from_iterable(map(products, grids)):
        points = itertools.product(*product.values())
        cells |= dict.fromkeys(Cell(**dict(zip(product, point, strict=True))) for point in points)
    return list(cells)


def check_count(grids: list[dict[str, Any]]) -> None:
    """Refuse grids of more than MOST_CELLS combinations."""
    count = sum(_count(grid) for grid in grids)
    if count > MOST_CELLS:
        raise UserError(f"grids: {count:,} cells are asked for, and {MOST_CELLS:,} are the most; name fewer values")


def _count(grid: Mapping[str, Any]) -> int:
    sizes = [
        sum(ranges.count(one) if isinstance(one, Mapping) else 1 for one in given)
        for given in _given(grid).values()
        if not any(map(ranges.of_box, given))
    ]
    return math.prod(sizes) * (grid["sample"]["points"] if grid.get("sample") else 1)


def _given(grid: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What a grid says of each axis that it names, in the axes' order: values and ranges."""
    return {name: grid[name] if isinstance(grid[name], list) else [grid[name]] for name in AXES if name in grid}


def box(grid: Mapping[str, Any]) -> dict[str, ranges.Range]:
    """The sides of the box that a grid samples, by axis."""
    return {name: given[0] for name, given in _given(grid).items() if ranges.of_box(given[0])}


def products(grid: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
    """The products of axes that a grid is the union of, each as the values of every axis: one at each sampled point."""
    axes = {
        name: [value for one in given for value in _values(AXES[name], one)]
        for name, given in _given(grid).items()
        if not ranges.of_box(given[0])
    }
    sides = box(grid)
    if not sides:
        yield axes
        return
    for point in ranges.sampled(sides, lambda name: AXES[name].is_whole, **grid["sample"]):
        both = axes | {name: [typed(AXES[name], value)] for name, value in point.items()}
        yield {name: both[name] for name in AXES if name in grid}


def _values(axis: Axis, given: Any) -> list[Any]:
    """The values of one entry of an axis, as cells have them."""
    found = ranges.expand(given, axis.is_whole) if isinstance(given, Mapping) else [given]
    return [typed(axis, value) for value in found]


def typed(axis: Axis, value: Any) -> Any:
    """A value with the one type of its axis, so that 1 and 1.0, or 64 and [64], are the same value."""
    if axis.kind == "widths":
        return widths_of(value if isinstance(value, list | tuple) else [value])
    if value is None or isinstance(value, str):
        return value
    return {"real": float, "whole": int}.get(axis.kind, lambda same: same)(value)


def stacks(cells: list[Cell], stacked: list[str], datasets: dict[str, dict[str, Any]]) -> dict[str, list[Cell]]:
    """Cells by the stack that trains them: those that agree on every axis not in `stacked`.

    A stack's name depends on what its cells share, so that it stays when a stacked axis grows. Its cells are in the
    order of their values on the axes that differ, so that a job stays when a config writes values in another order.
    """
    split = tuple(axis for axis in AXES if axis not in stacked)
    differing = [axis for axis in AXES if axis in stacked]
    members: dict[Any, list[Cell]] = {}
    shared_by = attrgetter(*split)
    for cell in cells:
        members.setdefault(shared_by(cell), []).append(cell)
    result: dict[str, list[Cell]] = {}
    for together in members.values():
        first = together[0]
        name = f"{first.slug(split)}_{short_hash([first.counted(split), datasets[first.dataset]])}"
        result[name] = sorted(together, key=lambda cell: [getattr(cell, axis) for axis in differing])
        if len(together) > MOST_IN_STACK:
            raise UserError(
                f"stack: {name} has {len(together):,} cells, and {MOST_IN_STACK:,} are the most; "
                "take an axis with many values out of `stack`"
            )
    return result


def identity(cell: Cell, checksum: str, snapshots: int) -> str:
    """A hash of all that determines a cell's numbers: its axes, its data set's checksum, the snapshots and the code."""
    return short_hash([vars(cell), checksum, snapshots, fingerprint("train", **cell.functions())])
