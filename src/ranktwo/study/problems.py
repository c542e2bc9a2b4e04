"""The decayed losses that a study's two-layer nets descend on: what the stage `optimum` is asked to solve."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ranktwo.study.axes import Cell
from ranktwo.study.labels import LABELS, labels_of
from ranktwo.study.theory import why_no_programme


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A data set's training labels, and the weight decays at which the least decayed loss is asked for."""

    split: int
    train_size: int | None
    """None means all rows."""
    label_noise: float
    seed: int | None
    """Of the noise; None without noise, as the labels are those of every seed."""
    weight_decays: tuple[float, ...]
    """Falling."""


def problems(cells: Iterable[Cell], splits: int) -> list[Problem]:
    """The problems of cells of one data set, of the first `splits` splits that have one, by split, then as cells stand.

    Of nets that `theory.why_no_programme` says nothing against: for others there is no such problem.
    """
    decays: dict[tuple[Any, ...], set[float]] = {}
    cells = sorted((cell for cell in cells if why_no_programme(vars(cell)) is None), key=lambda cell: cell.split)
    first = sorted({cell.split for cell in cells})[:splits]
    for cell in cells:
        if cell.split in first:
            decays.setdefault(labels_of(vars(cell)), set()).add(cell.weight_decay)
    return [
        Problem(**dict(zip(LABELS, labels, strict=True)), weight_decays=tuple(sorted(found, reverse=True)))
        for labels, found in decays.items()
    ]


def with_path(found: Iterable[Problem]) -> Iterator[tuple[Problem, bool]]:
    """Problems of one data set, and whether each is solved along a path of further weight decays too.

    It is for the first of each train size and noise level.
    """
    seen: set[tuple[int | None, float]] = set()
    for problem in found:
        kind = (problem.train_size, problem.label_noise)
        yield problem, kind not in seen
        seen.add(kind)
