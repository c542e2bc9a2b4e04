"""TODO report.drawing.data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure

from ranktwo.report.drawing.marks import FAMILY
from ranktwo.report.drawing.panels import Width, unbroken

TABLES = ("spectra", "certificates", "truncation")
"""Tables that a figure may read beside gaps.parquet."""


def select(table: pandas.DataFrame, where: dict[str, Any]) -> pandas.DataFrame:
    """The rows whose axes have one of the values asked for, written as in the config."""
    for axis, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if axis == "widths":
            values = ["-".join(map(str, value if isinstance(value, list) else [value])) for value in values]
        chosen = table[axis].isin(values)
        if axis == "batch_size" and "full" in values:
            chosen |= table["batch_size"] == table["train_size"]
        if axis == "train_size" and None in values:
            chosen |= table["train_size"] == table.groupby("dataset")["train_size"].transform("max")
        table = table[chosen]
    return table


ZERO_COLOUR = "0.45"
ZERO_DASHES = (0, (1, 1))
ZERO_MARKER = "s"
MINI_OR_FULL = [axis for axis in FAMILY if axis not in ("batch_size", "learning_rate", "steps")]
"""What cells share that are compared across batch sizes, each of which may need its own learning rate and steps."""
OPTIONAL = {
    "gaps": ["critical_decay", "decay_ratio"],
    "certificates": [
        *("cell", "step", "steps", "matrix", "weight_decay", "norm", "d_1", "d_2", "sample_min", "sample_max"),
        *("bound_lower", "bound_upper", "mean_residual_2", "pair_bound", "data_floor"),
    ],
    "truncation": [
        *("cell", "weight_decay", "truncation_ranks", "truncated_test_score", "shrunk_test_score", "functional_rank"),
        *("plane_1", "plane_2", "outgoing", "mean_1", "mean_2"),
    ],
}
"""Columns that a figure asks for and a study may lack: null throughout then."""
SYMBOLS = {
    "train_size": "N = {}",
    "label_noise": "label noise {}",
    "widths": "m = {}",
    "optimizer": "{}",
    "learning_rate": "$\\eta$ = {}",
    "schedule": "{}",
    "batch_size": "B = {}",
    "decay_rule": "{} decay",
    "steps": "T = {}",
}
Draw = Callable[["Data"], Figure]
FIGURES: dict[str, Draw] = {}


def figure(function: Draw) -> Draw:
    """Register a figure under its function's name with hyphens."""
    FIGURES[function.__name__.replace("_", "-")] = function
    return function


@dataclass(kw_only=True)
class Data:
    """What figures are drawn from: the rows of gaps.parquet of the cells asked for, and other tables when needed."""

    gaps: pandas.DataFrame
    read: Callable[[str], pandas.DataFrame]
    """Reads the rows of all cells of a table: `spectra`, `certificates` or `truncation`."""
    norm: LogNorm
    """The colours of weight decays: one scale for the study, whichever of its cells a figure draws."""
    width: Width = "page"

    def __post_init__(self) -> None:
        self.gaps = _with_optional(self.gaps, "gaps")

    @cached_property
    def spectra(self) -> pandas.DataFrame:
        """Spectra of V: a row for each cell and snapshot."""
        return self._of_v("spectra")

    @cached_property
    def certificates(self) -> pandas.DataFrame:
        """Certificates of V: a row for each cell and snapshot. Distances and bounds relative to ||V||."""
        rows = self._of_v("certificates")
        absolute = [
            "d_1",
            "d_2",
            "sample_min",
            "sample_max",
            "bound_lower",
            "bound_upper",
            "mean_residual_2",
            "pair_bound",
        ]
        relative = rows[absolute].div(rows["norm"], axis=0).replace([np.inf, -np.inf], np.nan)
        return rows.assign(**relative)

    @cached_property
    def truncation(self) -> pandas.DataFrame:
        """Truncated nets: a row for each cell."""
        rows = _with_optional(self.read("truncation"), "truncation")
        return rows[rows["cell"].isin(self.gaps["cell"])]

    def _of_v(self, name: str) -> pandas.DataFrame:
        rows = _with_optional(self.read(name), name)
        return rows[(rows["matrix"] == "V") & rows["cell"].isin(self.gaps["cell"])]

    def families(self, by: list[str] = FAMILY) -> list[tuple[str, pandas.DataFrame]]:
        """Title and rows of gaps.parquet of each family, in the order of the study; `by`: what its cells share."""
        varying = {
            name: [axis for axis in SYMBOLS if axis in by and rows[axis].nunique() > 1]
            for name, rows in self.gaps.groupby("dataset", sort=False)
        }
        result = []
        for key, rows in self.gaps.groupby(by, sort=False):
            values = dict(zip(by, key, strict=True))
            # A title breaks between its parts only.
            details = [unbroken(SYMBOLS[axis].format(_short(values[axis]))) for axis in varying[values["dataset"]]]
            seeds = rows.groupby([*dict.fromkeys([*FAMILY, "weight_decay"])])["seed"].nunique()
            count = str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
            result.append((", ".join([values["dataset"], *details]) + " " + unbroken(f"($n$ = {count})"), rows))
        return result

    def colour(self, weight_decay: float) -> Any:
        """One colour for a weight decay in every figure; grey for none."""
        return decay_map()(self.norm(weight_decay)) if weight_decay > 0 else ZERO_COLOUR

    def style(self, weight_decay: float) -> dict[str, Any]:
        """Colour, label and dashes of a weight decay's line: in grey, the dots tell none from some."""
        dashes = {} if weight_decay > 0 else {"linestyle": ZERO_DASHES}
        return {"color": self.colour(weight_decay), "label": f"$\\mu$ = {weight_decay:g}"} | dashes


def decay_map() -> Colormap:
    """The style's colour map without its lightest end, which white paper swallows."""
    return ListedColormap(plt.get_cmap()(np.linspace(0, 0.9, 256)))


def _with_optional(rows: pandas.DataFrame, table: str) -> pandas.DataFrame:
    """The rows with every column that figures ask for; numbers as floats, whatever nulls were read as."""
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *OPTIONAL.get(table, [])])))
    empty = [name for name in rows.columns if rows[name].dtype == object and rows[name].isna().all()]
    return rows.astype(dict.fromkeys(empty, float))


def colour_scale(weight_decays: pandas.Series) -> LogNorm:
    """From the least positive weight decay to the greatest, and some way around a single one."""
    positive = weight_decays[weight_decays > 0]
    least, greatest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    return LogNorm(least, greatest) if least < greatest else LogNorm(least / 10, greatest * 10)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


RANK_AND_RESIDUAL = {"effective_rank": "effective rank of $V$", "residual_2": "$d_2/\\|V\\|$"}
