"""The figure `phase`: a heat map of any column over any two axes of the grid, with what theory says drawn over it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
from matplotlib import colormaps, patheffects, rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ranktwo.errors import UserError
from ranktwo.evidence.gaps import OPTIMUM
from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.style import COLOURS, DASHES, DOTS
from ranktwo.report.drawing.tiles import Scale, Tiles, hatch, paint, scale
from ranktwo.report.drawing.titles import RESIDUALS, counted
from ranktwo.store import registry
from ranktwo.study import theory
from ranktwo.study.axes import CONSTANT, title_part
from ranktwo.study.limits import Limits
from ranktwo.study.planes import SIDES
from ranktwo.study.schema import Plane

LABELS = {
    **RESIDUALS,
    "effective_rank": "effective rank of $V$",
    "stable_rank": "stable rank of $V$",
    "directions": "directions of $V$'s rows",
    "dual_ratio": "dual ratio",
    "relative_gap": "relative duality gap",
    "loss_gap": "loss gap (nats, or sd$^2$ of $y$)",
    "test_loss": "test loss (nats, or sd$^2$ of $y$)",
    "test_accuracy": "test accuracy",
    "test_r2": "test $R^2$",
}
"""Names of columns on colour bars; others are named as the file names them."""
CONTOURS = {"effective_rank": [2.0], "directions": [2.0], "dual_ratio": [1.0]}
"""Values at which lines are drawn unless the config says other ones, by the beginning of a column's name."""
LEFT = 0.1
"""Share of the initial weights that decay leaves on the line eta mu T = ln(1/LEFT)."""
FAILED = {
    "unfit": ("///", "half not ok, most unfit"),
    "collapsed": ("xxx", "half not ok, most collapsed"),
    "diverged": ("...", "half not ok, most diverged"),
}
ACROSS = ("\\\\\\", "nets on both sides of a contour")
NONE = "no cell has a value of both axes"
MEASURED: dict[str, Any] = {"color": "white", "linewidth": 1.4}
PREDICTED: dict[str, Any] = {"color": "white", "linewidth": 1.2, "linestyle": DASHES}
CRITICAL: dict[str, Any] = {"color": COLOURS[1], "linewidth": 1.8}
TIME: dict[str, Any] = {"color": COLOURS[3], "linewidth": 2.2, "linestyle": DOTS}
TIME_LABEL = f"$\\eta\\mu T = \\ln {1 / LEFT:g}$"
OUTLINE = [patheffects.withStroke(linewidth=2.6, foreground="black")]


@figure(settings="verdicts", medians=False)
def phase(data: Data) -> Figure:
    """Phase diagram: a column of gaps.parquet, such as a rank, as a heat map over two axes of the grid.

    Each tile is the median over replicates, pairs of split and seed, of the nets there; the panel's title says how many
    (n). Zero weight decay stands apart. Solid white lines are contours of the medians. Dashed ones are contours of the
    minimiser of the decayed loss, found from the data alone, on the splits whose minimiser is known: where they lie on
    the solid ones, training has found the rank of the minimiser. The orange line is mu_c, above which the zero net has
    the least decayed loss. On the dotted line, weight decay alone leaves a tenth of the initial weights after T steps
    (not drawn for momentum, whose decay acts again); below it a high rank says only that training was short. Hatches
    say where nets do not count, or lie on both sides of a contour. Grey tiles have no value. A contour between tiles is
    no finer than the tiles, and the replicates of a tile say nothing of another data set.
    """
    plane = Plane(**data.plane)
    _check(data, plane.columns)
    parts = list(_parts(data, plane))
    # A strip says little; it is drawn where no family has two values of both axes.
    parts = [part for part in parts if min(part.x.centres.size, part.y.centres.size) > 1] or parts
    columns = plane.columns
    wide = len(columns) > 1 or len(parts) < 3
    drawn, placed = panels(
        data, len(columns), height=2.6, parts=[(part.title, part.rows) for part in parts], without=NONE,
        across=len(columns) if len(columns) > 1 else min(len(parts), 2 if wide else 3),
    )  # fmt: skip
    norms = {column: _norm(column, [part.tiles[column] for part in parts]) for column in columns}
    cmap = colormaps[rcParams["image.cmap"]]
    lines: dict[str, Any] = {}
    patches: dict[str, Any] = {}
    shown: dict[str, list[Axes]] = {column: [] for column in columns}
    for part, (title, rows, row_of_axes) in zip(parts, placed, strict=True):
        for column, axes in zip(columns, row_of_axes, strict=True):
            shown[column].append(axes)
            paint(axes, part.tiles[column], norms[column], cmap, _label(column))
            axes.set(title=title, xlabel=SIDES[plane.x].label, ylabel=SIDES[plane.y].label)
            levels = _levels(column, Limits(**data.settings)) if plane.contours is None else plane.contours
            patches |= _hatches(axes, part.tiles[column], levels)
            lines |= _contours(axes, part, column, levels)
            lines |= _theory(axes, plane, rows, part)
    for column, axes_of in shown.items():
        if axes_of:
            bar = drawn.colorbar(
                ScalarMappable(norms[column], cmap), ax=axes_of, label=_label(column), location="bottom", aspect=30,
                pad=0.02, **_ticks(norms[column]),
            )  # fmt: skip
            bar.ax.xaxis.set_minor_locator(NullLocator())
    if parts:
        legend(drawn, data, [*lines.values(), *patches.values()], columns=3, statuses=())
    return drawn


@dataclass(frozen=True, eq=False, kw_only=True)
class _Part:
    """One panel for each column."""

    title: str
    rows: pandas.DataFrame
    x: Scale
    y: Scale
    tiles: dict[str, Tiles]
    predicted: dict[str, Tiles]
    """Of the columns that the minimiser of the decayed loss has as well."""


def _check(data: Data, columns: list[str]) -> None:
    numbers = [name for name in data.gaps if pandas.api.types.is_numeric_dtype(data.gaps[name])]
    for column in columns:
        if column not in numbers:
            raise UserError(
                f"figure phase: {column} is no column of gaps.parquet with numbers; name one of docs/columns.md in "
                f"`plane.columns`{registry.near_miss(column, numbers)}"
            )


def _parts(data: Data, plane: Plane) -> Iterator[_Part]:
    """The families that have tiles, apart by weight decay where no axis is made of it."""
    x, y = SIDES[plane.x], SIDES[plane.y]
    made_of = {*x.made_of, *y.made_of}
    for named, family in data.families(across=made_of, count=False):
        decays = [(None, family)] if "weight_decay" in made_of else list(family.groupby("weight_decay"))
        for decay, rows in decays:
            values = rows.assign(x=x.of(rows), y=y.of(rows))
            across, up = (
                scale(values[name].to_numpy(float, na_value=np.nan), derived=side.derived, bins=plane.bins)
                for name, side in (("x", x), ("y", y))
            )
            if across is None or up is None:
                continue
            tiles = {column: Tiles.of(across, up, values, column) for column in plane.columns}
            known = [column for column in plane.columns if f"{OPTIMUM}{column}" in rows]
            predicted = {column: Tiles.of(across, up, values, f"{OPTIMUM}{column}") for column in known}
            words = [named, *([] if decay is None else [title_part("weight_decay", decay)])]
            nets = tiles[plane.columns[0]].nets
            title = counted(", ".join(words), nets[nets > 0].min(), nets.max())
            yield _Part(title=title, rows=rows, x=across, y=up, tiles=tiles, predicted=predicted)


def _label(column: str) -> str:
    return LABELS.get(column, column.replace("_", " "))


def _levels(column: str, limits: Limits) -> list[float]:
    if column.startswith("residual"):
        return [limits.low_rank]
    return next((levels for name, levels in CONTOURS.items() if column.startswith(name)), [])


def _norm(column: str, tiles: list[Tiles]) -> Normalize:
    """One scale for all panels of a column: residuals from 0 to 1, others logarithmic where they span a decade."""
    if column.startswith("residual_"):
        return Normalize(0, 1)
    medians = np.concatenate([one.median.ravel() for one in tiles] or [np.empty(0)])
    medians = medians[np.isfinite(medians)]
    if not len(medians):
        return Normalize(0, 1)
    least, greatest = float(medians.min()), float(medians.max())
    if least > 0 and greatest >= 10 * least:
        return LogNorm(least, greatest)
    return Normalize(least, greatest if greatest > least else least + 1)


def _ticks(norm: Normalize) -> dict[str, Any]:
    """Plain numbers on a logarithmic colour bar."""
    if not isinstance(norm, LogNorm):
        return {}
    crowded = norm.inverse(1) > 300 * norm.inverse(0)
    subs = (1,) if crowded else (1, 2, 5)
    return {"ticks": LogLocator(subs=subs), "format": StrMethodFormatter("{x:g}")}


def _hatches(axes: Axes, tiles: Tiles, levels: list[float]) -> dict[str, Any]:
    """Hatch what does not count and what is not one; the legend's entries of what was drawn."""
    chosen = {(pattern, words): tiles.failed == status for status, (pattern, words) in FAILED.items()}
    across = np.any([tiles.across(level) for level in levels], axis=0) if levels else np.zeros(tiles.nets.shape, bool)
    chosen[ACROSS] = across & (tiles.failed == "")
    found = {}
    for (pattern, words), where in chosen.items():
        if where.any():
            hatch(axes, tiles, where, pattern, words)
            found[words] = Patch(facecolor="0.85", edgecolor="0.1", hatch=pattern, label=words)
    return found


def _line(axes: Axes, x: Any, y: Any, label: str, style: dict[str, Any]) -> dict[str, Any]:
    # White lines have a dark edge, so that they are seen on light tiles.
    effects = OUTLINE if style["color"] == "white" else None
    axes.plot(x, y, label=label, path_effects=effects, **style)
    return {label: Line2D([], [], label=label, path_effects=effects, **style)}


def _contours(axes: Axes, part: _Part, column: str, levels: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for words, tiles, style in (
        ("trained", part.tiles[column], MEASURED),
        ("predicted", part.predicted.get(column), PREDICTED),
    ):
        if tiles is None:
            continue
        for level in levels:
            for x, y in tiles.contours(level):
                found |= _line(axes, x, y, f"{_label(column)} = {level:g}, {words}", style)
    return found


def _theory(axes: Axes, plane: Plane, rows: pandas.DataFrame, part: _Part) -> dict[str, Any]:
    """mu_c and eta mu T = ln(1/LEFT), where an axis is made of weight decay; both as lines over the other axis."""
    found: dict[str, Any] = {}
    for name, other, own, along, turned in (
        (plane.x, plane.y, part.x, part.y, False),
        (plane.y, plane.x, part.y, part.x, True),
    ):
        values = rows.assign(along=SIDES[other].of(rows))
        values = values.assign(along=np.array([*along.values, np.nan])[along.places(values["along"].to_numpy(float))])
        grouped = values[values["along"] > 0].groupby("along")
        lines: list[tuple[str, dict[str, Any], pandas.Series]] = []
        kinds = rows[["optimizer", "decay_rule"]].drop_duplicates().to_dict("records")
        steady = (rows["schedule"] == CONSTANT).all() and all(map(theory.shrinks_geometrically, kinds))
        if name == "weight_decay":
            if SIDES[other].made_of != ("weight_decay",):
                lines.append(("$\\mu = \\mu_c$", CRITICAL, grouped["critical_decay"].median()))
            if steady and "weight_decay" not in SIDES[other].made_of:
                time = (values["learning_rate"] * values["steps"]).groupby(values["along"]).median()
                lines.append((TIME_LABEL, TIME, -math.log(LEFT) / time[time.index > 0]))
        elif name == "decay_ratio":
            lines.append(("$\\mu = \\mu_c$", CRITICAL, grouped.size() * 0.0 + 1))
        elif name == "decay_time" and steady:
            lines.append((TIME_LABEL, TIME, grouped.size() * 0.0 - math.log(LEFT)))
        for label, style, line in lines:
            inside = line[(line > own.corners[own.first]) & (line < own.corners[-1])].astype(float)
            if len(inside):
                points = (inside.index.to_numpy(float), inside.to_numpy())
                found |= _line(axes, *(points if turned else points[::-1]), label, style)
    return found
