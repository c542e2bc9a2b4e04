"""Cells, the points of a study's grids, and the stacks that train them together."""

import base64
import hashlib
import itertools
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ranktwo.errors import UserError

MOST_CELLS = 200_000
MOST_IN_STACK = 10_000
# Linux takes no argument of more than 131,072 bytes.
LONGEST_ARGUMENT = 120_000
PACKED = "zlib:"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run. Its fields are the axes of a grid, in the order in which names and tables show them."""

    dataset: str
    train_size: int | None = None
    """N, the first rows of the data set's training part; None means all of them."""
    label_noise: float = 0.0
    """Share of training labels replaced by another class, or the sd of noise added to standardised targets."""
    widths: tuple[int, ...] = (128,)
    """Hidden units of each layer."""
    optimizer: Literal["sgd", "momentum", "adamw"] = "sgd"
    learning_rate: float
    """eta."""
    schedule: Literal["constant", "cosine"] = "constant"
    batch_size: int | Literal["full"]
    """B."""
    weight_decay: float
    """mu, torch's convention."""
    decay_rule: Literal["constant", "input-norm"] = "constant"
    """Whether every sample decays the weights by mu, or by mu ||x_i||^2 / mean ||x_j||^2 (a batch by its mean)."""
    steps: int
    seed: int
    """Of the initial weights, the batches and the label noise."""

    def slug(self, axes: tuple[str, ...]) -> str:
        """Readable name of this cell's values on some axes; defaults of the rarer axes are left out."""
        parts = {
            "dataset": self.dataset,
            "train_size": f"n{self.train_size}" if self.train_size else "",
            "label_noise": f"noise{self.label_noise:g}" if self.label_noise else "",
            "widths": "w" + "-".join(map(str, self.widths)),
            "optimizer": self.optimizer,
            "learning_rate": f"lr{self.learning_rate:g}",
            "schedule": self.schedule if self.schedule != "constant" else "",
            "batch_size": f"b{self.batch_size}",
            "weight_decay": f"wd{self.weight_decay:g}",
            "decay_rule": self.decay_rule if self.decay_rule != "constant" else "",
            "steps": f"t{self.steps}",
            "seed": f"s{self.seed}",
        }
        return "_".join(parts[axis] for axis in axes if parts[axis])


AXES = tuple(field.name for field in fields(Cell))


def canonical(value: Any) -> str:
    """JSON that is equal exactly if the values are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def ordered(value: Any) -> str:
    """JSON with keys in the order in which they were given, for what a person reads."""
    return json.dumps(value, ensure_ascii=False)


def short_hash(value: Any) -> str:
    """Eight hexadecimal digits that differ, in practice, where the values differ."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:8]


def cell_of(facts: Mapping[str, Any]) -> Cell:
    """The cell of a record's facts, with numbers for `all rows` and `full`, which train it alike."""
    axes = {axis.name: facts[axis.name] for axis in fields(Cell)}
    return Cell(**axes | {"widths": tuple(map(int, axes["widths"].split("-")))})


def cell_name(cell: Cell, options: dict[str, Any]) -> str:
    """The cell's name in every file: its axes, and a hash of them and of its data set's options."""
    return f"{cell.slug(AXES)}_{short_hash([asdict(cell), options])}"


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
    if len(packed(canonical(list(result)))) > LONGEST_ARGUMENT:
        raise UserError(
            f"stack: {len(cells):,} cells make {len(result):,} stacks, too many for one command; add an axis to `stack`"
        )
    return result


def packed(text: str) -> str:
    """The text, compressed if it is too long to be read anyway: as an argument, it has to be short."""
    if len(text) < LONGEST_ARGUMENT // 4:
        return text
    return PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> str:
    """What was packed; ValueError if it is damaged."""
    if not text.startswith(PACKED):
        return text
    try:
        return zlib.decompress(base64.b64decode(text.removeprefix(PACKED), validate=True)).decode()
    except zlib.error as error:
        raise ValueError(str(error)) from error


def encode(cells: list[Cell], options: dict[str, Any], **settings: Any) -> str:
    """One canonical string for a stack's job: what its cells share, their values on the other axes, and settings.

    Snakemake compares the *set* of a job's parameter values, so what determines a result has to be one value.
    """
    rows = [asdict(cell) for cell in cells]
    shared = {axis: rows[0][axis] for axis in AXES if all(row[axis] == rows[0][axis] for row in rows)}
    differing = [axis for axis in AXES if axis not in shared]
    values = [[row[axis] for axis in differing] for row in rows]
    return packed(canonical({"shared": shared, "axes": differing, "cells": values, "options": options, **settings}))


def stack_names(text: str) -> list[str]:
    """A command's argument that lists stacks: JSON, maybe packed."""
    try:
        return list(map(str, json.loads(unpacked(text))))
    except (ValueError, TypeError) as error:
        raise UserError(f"the stacks given to this command are not a list of names ({error})") from error


def decode(text: str) -> tuple[list[Cell], dict[str, Any], dict[str, Any]]:
    """Cells, data set options and settings of a string made by `encode`."""
    try:
        job = json.loads(unpacked(text))
        shared, axes, values, options = (job.pop(key) for key in ("shared", "axes", "cells", "options"))
        points = [shared | dict(zip(axes, row, strict=True)) for row in values]
        return [Cell(**point | {"widths": tuple(point["widths"])}) for point in points], options, job
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"the cells given to this command are not those of a ranktwo job ({error})") from error
