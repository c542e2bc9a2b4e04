"""The decayed losses that a study's two-layer nets descend on: what the stage `optimum` is asked to solve."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ranktwo.study.axes import Cell
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
    """The problems of cells of one data set and of its first `splits` splits, by split, in the order of the cells.

    Of nets that `theory.why_no_programme` says nothing against: for others there is no such problem.
    """
    decays: dict[tuple[int, int | None, float, int | None], set[float]] = {}
    cells = sorted(cells, key=lambda cell: cell.split)
    first = sorted({cell.split for cell in cells})[:splits]
    for cell in cells:
        if cell.split in first and why_no_programme(vars(cell)) is None:
            labels = (cell.split, cell.train_size, cell.label_noise, cell.seed if cell.label_noise else None)
            decays.setdefault(labels, set()).add(cell.weight_decay)
    return [
        Problem(
            split=split,
            train_size=size,
            label_noise=noise,
            seed=seed,
            weight_decays=tuple(sorted(found, reverse=True)),
        )
        for (split, size, noise, seed), found in decays.items()
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
