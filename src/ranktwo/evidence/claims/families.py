"""The cells that a claim looks at: those of one data set and architecture, and their families.

An *architecture* is a kind of net whatever the numbers of its widths are. No verdict and no statistic is made of two
of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas

from ranktwo.evidence.gaps import Cells
from ranktwo.evidence.layers import ENDS
from ranktwo.evidence.wording import short
from ranktwo.store.columns import TEXT, column
from ranktwo.study import theory
from ranktwo.study.axes import AXES, CELL_COLUMNS, CONSTANT, FAMILY, MLP, REPLICATE, heading, title_part, widths_of
from ranktwo.study.theory import Axes

SHAPE = ("net", "widths", "activation", "bias", "normalisation")
"""Axes that an architecture follows from."""
ARCHITECTURE = column(
    TEXT,
    "The kind of nets: `mlp` is the paper's, with one hidden layer of relu units without biases and normalisation; "
    "others name what differs.",
)
V = "V"
"""The matrix that claims are of."""


def architecture(cell: Axes) -> str:
    """The kind of a net and all in which it differs from the paper's: `mlp`, or `mlp, 3 widths, gelu, norm layer`."""
    deep = [f"{count} widths"] if (count := theory.layers(cell) - 1) > 1 else []
    others = [title_part(axis, cell[axis]) for axis in SHAPE[2:] if cell[axis] != AXES[axis].default]
    return ", ".join([cell["net"], *deep, *others])


def by_architecture(rows: pandas.DataFrame) -> Iterator[tuple[str, list[pandas.DataFrame]]]:
    """Each architecture with its rows by data set: the paper's first, then those of most data sets."""
    shapes = rows[list(SHAPE)]
    known = {
        tuple(shape): architecture(dict(zip(SHAPE, shape, strict=True)))
        for shape in set(shapes.itertuples(index=False))
    }
    names = [known[shape] for shape in map(tuple, shapes.itertuples(index=False))]
    found = {
        name: [part for _, part in own.groupby("dataset", sort=False)]
        for name, own in rows.groupby(pandas.Series(names, rows.index), sort=False)
    }
    yield from sorted(found.items(), key=lambda one: (one[0] != MLP, -len(one[1])))


@dataclass(frozen=True)
class Family:
    """Cells of one data set that differ in weight decay, split and seed only."""

    cells: pandas.DataFrame
    name: str
    """Its values on the axes in which it differs from the data set's main family; empty for that one."""
    main: bool
    matrix: str = V
    """The matrix whose ranks and residuals the cells have."""
    by_layer: bool = False
    """Whether the cells have all that layers.parquet says of the matrix."""
    full_rank: float = np.nan
    """min(rows, columns) of V, by layers.parquet."""

    @cached_property
    def decays(self) -> list[float]:
        """Weight decays above 0 at which every replicate is ok, rising."""
        ok = (self.cells["status"] == "ok").groupby(self.cells["weight_decay"]).all()
        return [mu for mu, every in ok.items() if mu > 0 and every]

    @cached_property
    def strongest(self) -> pandas.DataFrame:
        """Cells at the strongest decay, by replicate; none if at no decay every replicate is ok."""
        return self.at(max(self.decays, default=np.nan))

    @cached_property
    def by_replicate(self) -> pandas.DataFrame:
        """The cells by replicate."""
        return self.cells.set_index(list(REPLICATE)).copy()  # one block of numbers: a choice of rows is fast

    def at(self, weight_decay: float) -> pandas.DataFrame:
        """Cells that ended ok at this weight decay, by replicate."""
        cells = self.by_replicate
        return cells[(cells["weight_decay"] == weight_decay) & (cells["status"] == "ok")]

    @cached_property
    def fit(self) -> pandas.DataFrame:
        """Cells at `decays`, by replicate."""
        return self.by_replicate[self.by_replicate["weight_decay"].isin(self.decays)]

    @cached_property
    def decayed(self) -> pandas.DataFrame:
        """Cells with weight decay, however they ended."""
        return self.cells[self.cells["weight_decay"] > 0]

    def validated(self, low_rank: float = np.inf) -> pandas.DataFrame:
        """For each replicate its cell at the decay that other data choose, by replicate.

        That is the decay of least mean test loss on the other splits (of one split alone: for its other seeds), among
        `decays` at which the mean rank-two residual of those is below `low_rank`. So luck is not counted as merit.
        """
        cells, own, loss, residual = self._elsewhere
        allowed = loss.where(residual < low_rank)
        chosen = allowed[allowed.notna().any(axis=1)].idxmin(axis=1)
        return cells[cells["weight_decay"].to_numpy() == own.map(chosen).to_numpy(float)]

    @cached_property
    def _elsewhere(self) -> tuple[pandas.DataFrame, pandas.Index, pandas.DataFrame, pandas.DataFrame]:
        """Cells at `decays`, their splits or seeds for which is chosen, and means over the others of loss and residual.

        The means have a row for each split or seed and a column for each decay.
        """
        cells = self.fit
        own = cells.index.get_level_values("split")
        own = own if own.nunique() > 1 else cells.index.get_level_values("seed")
        means = []
        for measure in ("test_loss", "residual_2"):
            grouped = cells[measure].astype(float).groupby([own.to_numpy(), cells["weight_decay"].to_numpy()])
            sums, counts = (found.unstack(fill_value=0) for found in (grouped.sum(), grouped.count()))
            others = counts.sum() - counts
            means.append((sums.sum() - sums) / others.where(others > 0))
        return cells, own, *means

    @property
    def place(self) -> dict[str, Any]:
        """What a Finding says of the family."""
        return {"family": self.name, "main": self.main, "matrix": self.matrix, "by_layer": self.by_layer}

    @property
    def norm(self) -> str:
        """||V||, or that of another matrix."""
        return f"||{self.matrix}||"

    @property
    def shape(self) -> tuple[int, int]:
        """By layer, R of the matrix (column `sample_rank`) and its full rank min(rows, columns)."""
        cell = self.cells.iloc[0]
        return int(cell["sample_rank"]), int(min(cell["rows"], cell["columns"]))

    @property
    def trivial(self) -> bool:
        """Whether the matrix could be of no rank above two: it has two rows or columns, or fewer.

        V of an mlp: also where the inputs have rank two or less. V of another net acts on parts of a sample.
        """
        if self.matrix != V:
            return self.shape[1] <= 2
        if not self._of_whole_samples:
            return self.full_rank <= 2
        hidden = widths_of(self.cells["widths"].iloc[0])[0]
        return bool(min(hidden, self.cells[["inputs", "input_rank"]].min(axis=None)) <= 2)

    @property
    def trivial_if(self) -> str:
        """When `trivial` holds, in words."""
        whole = self.matrix == V and self._of_whole_samples
        shape = "two rows, or inputs of rank two" if whole else "two rows or columns"
        return f"{self.matrix} has {shape}, or fewer"

    @property
    def _of_whole_samples(self) -> bool:
        """Whether V multiplies a sample, and not its patches or pieces."""
        return theory.why_shared(self.cells.iloc[0]) is None

    def of_matrix(self, matrix: str, rows: pandas.DataFrame) -> "Family":
        """The same cells with what `rows` of layers.parquet, one for each cell, say of a matrix for what is V's."""
        values = rows.set_index("cell").reindex(self.cells["cell"]).set_index(self.cells.index)
        values = values.drop(columns=[*CELL_COLUMNS, *ENDS], errors="ignore")
        cells = pandas.concat([self.cells.drop(columns=values.columns, errors="ignore"), values], axis=1)
        return Family(cells, self.name, main=False, matrix=matrix, by_layer=True)


@dataclass(frozen=True)
class DataSet(Cells):
    """All cells of one data set and architecture, and their families."""

    layers: pandas.DataFrame
    """The rows of layers.parquet that are net's own matrices; of any cells."""

    @cached_property
    def of_v(self) -> pandas.DataFrame:
        """The rows of layers.parquet that are V's, by cell."""
        return self.layers[self.layers["matrix"] == V].set_index("cell")

    @cached_property
    def full_rank(self) -> pandas.Series:
        """min(rows, columns) of V, by cell."""
        return self.of_v[["rows", "columns"]].astype(float).min(axis=1)

    @cached_property
    def families(self) -> list[Family]:
        """The main family first, then the others, those of plain training before the rest, great ones before small."""
        parts = [cells for _, cells in self.rows.groupby(FAMILY, sort=False, dropna=False)]
        parts.sort(key=lambda cells: (not _plain(cells.iloc[0]), -len(cells)))
        main = parts[0].iloc[0]
        names = [
            ", ".join(
                f"{heading(axis)} {short(cells[axis].iloc[0])}" for axis in FAMILY if cells[axis].iloc[0] != main[axis]
            )
            for cells in parts
        ]
        return [
            Family(cells, name, main=not index, full_rank=self.full_rank.reindex(cells["cell"]).min())
            for index, (cells, name) in enumerate(zip(parts, names, strict=True))
        ]

    @cached_property
    def by_layer(self) -> list[Family]:
        """Each family once for every matrix of its nets, from the input on; none of the paper's two-layer nets."""
        found = []
        for family in self.families:
            if theory.why_not_two_layers(family.cells.iloc[0]):
                own = self.layers[self.layers["cell"].isin(family.cells["cell"])].sort_values("depth", kind="stable")
                # A diverged cell has its matrices, too.
                found += [family.of_matrix(matrix, rows) for matrix, rows in own.groupby("matrix", sort=False)]
        return found


def _plain(cell: pandas.Series) -> bool:
    """Whether a cell was trained on clean labels, with constant decay, by SGD, in mini-batches."""
    return (
        cell["label_noise"] == 0
        and cell["decay_rule"] == CONSTANT
        and cell["optimizer"] == "sgd"
        and cell["batch_size"] < cell["train_size"]
    )
