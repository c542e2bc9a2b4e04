"""What a figure is drawn from: rows of gaps.parquet, the tables beside it, and the families that panels show."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
import pandas
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ranktwo.report.drawing.style import ZERO_COLOUR, ZERO_DASHES, Width, decay_map
from ranktwo.report.drawing.titles import counted, unbroken
from ranktwo.study.axes import FAMILY, REPLICATE, title_part, widths_text

RELATIVE = ["d_1", "d_2", "sample_min", "sample_max", "bound_lower", "bound_upper", "mean_residual_2", "pair_bound"]
"""Columns of certificates that figures show relative to ||V||."""


@dataclass(kw_only=True)
class Data:
    """What figures are drawn from: the rows of gaps.parquet of the cells asked for, and other tables when needed."""

    gaps: pandas.DataFrame
    kinds: Mapping[str, str]
    """The kind of a column of `gaps`, `rank`, `bound`, `rate` or `measure`, in the order of the file's columns."""
    read: Callable[[str], pandas.DataFrame]
    """Reads all rows of a table that the figure `reads`."""
    norm: LogNorm
    """The colours of weight decays: one scale for the study, whichever of its cells a figure draws."""
    width: Width = "page"
    plane: Mapping[str, Any] = field(default_factory=dict)
    """The axes and columns of a phase diagram, as in the config."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The section of the config that the figure reads."""

    @cached_property
    def layers(self) -> pandas.DataFrame:
        """Every matrix after training: a row for each cell and matrix."""
        return self._rows("layers")

    @cached_property
    def spectra(self) -> pandas.DataFrame:
        """Spectra of V: a row for each cell and snapshot."""
        return self._rows_of_v("spectra")

    @cached_property
    def matrices(self) -> pandas.DataFrame:
        """Spectra of every matrix: a row for each cell, matrix and snapshot, matrices from the input to the output."""
        rows = self._rows("spectra")
        return rows[rows["factors"].isna()]

    @cached_property
    def products(self) -> pandas.DataFrame:
        """Spectra of products of two matrices: a row for each cell, snapshot and product."""
        rows = self._rows("spectra")
        return rows[rows["factors"].notna()]

    @cached_property
    def history(self) -> pandas.DataFrame:
        """Losses and scores over training: a row for each cell and snapshot."""
        return self._rows("train")

    @cached_property
    def certificates(self) -> pandas.DataFrame:
        """Certificates of V: a row for each cell and snapshot. Distances and bounds are relative to ||V||."""
        rows = self._rows_of_v("certificates")
        relative = rows[RELATIVE].div(rows["norm"], axis=0).replace([np.inf, -np.inf], np.nan)
        return rows.assign(**relative)

    @cached_property
    def truncation(self) -> pandas.DataFrame:
        """Truncated nets: a row for each cell."""
        return self._rows("truncation")

    @cached_property
    def optimality(self) -> pandas.DataFrame:
        """Duality gaps: a row for each cell and snapshot."""
        return self._rows("optimality")

    @cached_property
    def neural_collapse(self) -> pandas.DataFrame:
        """Features of every matrix after training: a row for each cell and matrix."""
        return after_training(self._rows("neural-collapse"))

    @cached_property
    def optima(self) -> pandas.DataFrame:
        """Minimisers of the decayed loss: a row for each data set's labels and each weight decay."""
        return self.read("optimum").sort_values("weight_decay")

    @cached_property
    def weights(self) -> pandas.DataFrame:
        """Matrices of files of weights trained elsewhere; the column `weights` names the file as the study does."""
        return self.read("measure")

    def path_of(self, rows: pandas.DataFrame) -> pandas.DataFrame:
        """The minimisers on the labels of cells, by rising weight decay; of the first split and, with noise, seed."""
        cell, found = rows.iloc[0], self.optima
        for axis in ("dataset", "train_size", "label_noise"):
            found = found[found[axis] == cell[axis]]
        # The path is found for one split and one seed of the noise alone.
        found = found[found["split"] == found["split"].min()]
        return found[found["seed"].isna() | (found["seed"] == found.loc[~found["in_study"], "seed"].min())]

    def _rows(self, table: str) -> pandas.DataFrame:
        return of_cells(self.read(table), self.gaps)

    def _rows_of_v(self, table: str) -> pandas.DataFrame:
        rows = self._rows(table)
        return rows[rows["matrix"] == "V"]

    def columns(self, kind: str) -> list[str]:
        """The columns of `gaps` of a kind, in the order of the file."""
        return [name for name, own in self.kinds.items() if own == kind]

    def families(self, across: Collection[str] = (), *, count: bool = True) -> list[tuple[str, pandas.DataFrame]]:
        """Title and rows of gaps.parquet of each family, in the order of the study.

        The cells of a family differ in weight decay, split and seed only, and in the axes of `across`. Its title names
        its data set, its values of the axes in which the families of the data set differ, and, unless `count` is false,
        its number of replicates.
        """
        shared = [axis for axis in FAMILY if axis not in across]
        differing = {
            dataset: [axis for axis in shared if axis != "dataset" and rows[axis].nunique() > 1]
            for dataset, rows in self.gaps.groupby("dataset", sort=False)
        }
        found = []
        for key, rows in self.gaps.groupby(shared, sort=False):
            values = dict(zip(shared, key, strict=True))
            dataset = values["dataset"]
            # A title breaks between its parts only.
            title = ", ".join([dataset, *(unbroken(title_part(axis, values[axis])) for axis in differing[dataset])])
            alike = [*FAMILY, "weight_decay"]
            counts = rows.drop_duplicates([*alike, *REPLICATE]).groupby(alike).size()
            found.append((counted(title, counts.min(), counts.max()) if count else title, rows))
        return found

    def colour(self, weight_decay: float) -> Any:
        """The colour of a weight decay, the same in every figure; grey for none."""
        return decay_map()(self.norm(weight_decay)) if weight_decay > 0 else ZERO_COLOUR

    def line_style(self, weight_decay: float) -> dict[str, Any]:
        """Colour, label and dashes of a weight decay's line; dots tell zero from the others in grey print."""
        dashes = {} if weight_decay > 0 else {"linestyle": ZERO_DASHES}
        return {"color": self.colour(weight_decay), "label": f"$\\mu$ = {weight_decay:g}"} | dashes


def of_cells(table: pandas.DataFrame, cells: pandas.DataFrame) -> pandas.DataFrame:
    """Those of a table's rows that are of these cells."""
    return table[table["cell"].isin(cells["cell"])]


def after_training(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Those of rows of snapshots that are of the last one."""
    return rows[rows["step"] == rows["steps"]]


Draw = Callable[[Data], Figure]


@overload
def figure(draw: Draw) -> Draw: ...
@overload
def figure(
    *, reads: Sequence[str] = (), needs: str = "", settings: str = "", replicates: bool = True, medians: bool = True
) -> Callable[[Draw], Draw]: ...
def figure(
    draw: Draw | None = None,
    *,
    reads: Sequence[str] = (),
    needs: str = "",
    settings: str = "",
    replicates: bool = True,
    medians: bool = True,
) -> Draw | Callable[[Draw], Draw]:
    """Register a figure under its function's name with hyphens.

    The registry reads the mark from the source. The first line of the function's docstring is the figure's title,
    and the rest is its caption: what is seen, what it means for the claim, and its limits. `reads` names the tables
    that the figure reads beside gaps.parquet, each by the stage or the analysis that makes it. An analysis on demand
    is made because the study draws a figure that reads it. `needs` names a section of the config: only a study that
    has it draws the figure. `settings` names one that the figure reads.

    Below the caption stands that panels say how many replicates they show, unless `replicates` is false, and then that
    lines are medians over them and bands their range, unless `medians` is false.
    """
    return draw or (lambda drawing: drawing)


def select(table: pandas.DataFrame, where: dict[str, Any]) -> pandas.DataFrame:
    """The rows whose axes have one of the values asked for, which are written as in the config."""
    for axis, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if axis == "widths":
            values = [widths_text(value if isinstance(value, list) else [value]) for value in values]
        chosen = table[axis].isin(values)
        if axis == "batch_size" and "full" in values:
            chosen |= table["batch_size"] == table["train_size"]
        if axis == "train_size" and None in values:
            chosen |= table["train_size"] == table.groupby("dataset")["train_size"].transform("max")
        table = table[chosen]
    return table
