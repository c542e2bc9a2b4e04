"""Tiles of a heat map over two axes: where they lie, what they show, and how they are drawn.

On a logarithmic axis a tile reaches from the geometric mean with its lower neighbour to that with its upper one, and
zero has a tile of its own, set apart at the lower end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import contourpy
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.collections import Collection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
GAP = 0.4
"""Width of the space between zero and the other tiles, as a share of a tile's."""
ROWS: WeakKeyDictionary[Collection, pandas.DataFrame] = WeakKeyDictionary()
"""The rows of the figure's CSV that a drawn set of tiles stands for."""
HATCH = "0.75"
"""Grey that is seen on dark and on light tiles."""
LEAST_RATIO = 5
"""Greatest over least value from which on an axis is logarithmic."""
LEAST_APART = 0.15
"""Share of an axis between two numbers that do not run into each other."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scale:
    """The tiles along one axis."""

    centres: Numbers
    """Of the tiles of values that are not set apart, rising."""
    corners: Numbers
    """Of all tiles, zero's and the gap's included."""
    log: bool
    zero: bool

    @property
    def first(self) -> int:
        """The place of the first tile that is not set apart."""
        return 2 if self.zero else 0

    @property
    def values(self) -> Numbers:
        """What each place stands for; nan for the gap beside zero."""
        return np.concatenate([[0, np.nan], self.centres]) if self.zero else self.centres

    def places(self, values: Numbers) -> NDArray[np.int64]:
        """The tile of each value; -1 where it has none."""
        inside = np.isfinite(values) & (values > 0 if self.log else True)
        found = np.searchsorted(self.corners[self.first + 1 : -1], np.where(inside, values, 0), side="right")
        return np.where(inside, found + self.first, np.where(self.zero & (values == 0), 0, -1))

    def flat(self, values: Any) -> Any:
        """The values as they are evenly spaced on paper."""
        return np.log10(values) if self.log else np.asarray(values)

    def unflat(self, values: Any) -> Any:
        """The inverse of `flat`."""
        return 10.0 ** np.asarray(values) if self.log else np.asarray(values)


def scale(values: Numbers, *, derived: bool, bins: int) -> Scale | None:
    """The tiles of values of cells: one for each value, or `bins` of equal width; None where there is no value."""
    distinct = np.unique(values[np.isfinite(values)])
    positive = distinct[distinct > 0]
    log = len(positive) > 1 and positive[0] * LEAST_RATIO <= positive[-1] and positive.size >= distinct.size - 1
    shown = positive if log else distinct
    if not shown.size:
        return None
    flat = np.log10(shown) if log else shown
    if len(flat) == 1:
        centres, corners = flat, flat[0] + np.array([-0.5, 0.5]) * (flat[0] or 1)
    elif derived or len(flat) > bins:
        corners = np.linspace(flat[0], flat[-1], bins + 1)
        centres = (corners[1:] + corners[:-1]) / 2
    else:
        between, centres = (flat[1:] + flat[:-1]) / 2, flat
        corners = np.concatenate([[2 * flat[0] - between[0]], between, [2 * flat[-1] - between[-1]]])
        if not log and flat[0] > 0:
            corners[0] = max(corners[0], 0)
    zero = bool(log and len(distinct) > len(positive))
    if zero:
        width = np.median(np.diff(corners))
        corners = np.concatenate([[corners[0] - (1 + GAP) * width, corners[0] - GAP * width], corners])
    return Scale(centres=10**centres if log else centres, corners=10**corners if log else corners, log=log, zero=zero)


@dataclass(frozen=True, eq=False, kw_only=True)
class Tiles:
    """What cells of one panel say, tile by tile; arrays [tiles of y, tiles of x]."""

    x: Scale
    y: Scale
    nets: NDArray[np.int64]
    """Number of cells, whatever they ended with."""
    median: Numbers
    least: Numbers
    greatest: Numbers
    failed: NDArray[np.object_]
    """The most frequent status that is not ok where at least half of the cells have such a one, and else empty."""

    @classmethod
    def of(cls, x: Scale, y: Scale, values: pandas.DataFrame, column: str) -> "Tiles":
        """From a frame with the columns x, y, status and `column`."""
        shape = (len(y.corners) - 1, len(x.corners) - 1)
        frame = pandas.DataFrame({
            "row": y.places(values["y"].to_numpy(float)),
            "column": x.places(values["x"].to_numpy(float)),
            "value": values[column].to_numpy(float, na_value=np.nan),
            "status": values["status"].to_numpy(),
        })  # fmt: skip
        frame = frame[(frame["row"] >= 0) & (frame["column"] >= 0)]
        grouped = frame.groupby(["row", "column"])
        place = tuple(np.array(list(grouped.groups), int).reshape(-1, 2).T)

        def spread(series: pandas.Series, empty: Any, kind: Any) -> Any:
            found = np.full(shape, empty, dtype=kind)
            found[place] = series.to_numpy()
            return found

        value = grouped["value"]
        median, least, greatest = (spread(one, np.nan, float) for one in (value.median(), value.min(), value.max()))
        failed = grouped["status"].agg(_failed) if len(frame) else pandas.Series(dtype=object)
        return cls(
            x=x,
            y=y,
            nets=spread(grouped.size(), 0, int),
            median=median,
            least=least,
            greatest=greatest,
            failed=spread(failed, "", object),
        )

    def contours(self, level: float) -> Iterator[tuple[Numbers, Numbers]]:
        """x and y of each line on which the median, linear between the centres of tiles, is at the level."""
        z = self.median[self.y.first :, self.x.first :]
        if min(z.shape) < 2:
            return
        x, y = (side.flat(side.centres) for side in (self.x, self.y))
        for line in contourpy.contour_generator(x, y, np.ma.masked_invalid(z)).lines(level):
            points = np.asarray(line)
            yield self.x.unflat(points[:, 0]), self.y.unflat(points[:, 1])

    def across(self, level: float) -> NDArray[np.bool_]:
        """Whether cells of a tile lie on both sides of the level."""
        return (self.least < level) & (self.greatest > level)


def _failed(status: pandas.Series) -> str:
    bad = status[status != "ok"]
    return str(bad.mode().iloc[0]) if 2 * len(bad) >= len(status) else ""


def paint(axes: Axes, tiles: Tiles, norm: Normalize, cmap: Any, label: str) -> None:
    """Draw the medians as colours, and make the two axes those of the tiles."""
    axes.grid(False)
    for side, name in ((tiles.x, "x"), (tiles.y, "y")):
        axes.set(**{f"{name}scale": "log" if side.log else "linear", f"{name}lim": side.corners[[0, -1]]})
        _ticks(getattr(axes, f"{name}axis"), side)
    axes.set_facecolor("0.92")
    shown = np.ma.masked_invalid(tiles.median)
    mesh = axes.pcolormesh(tiles.x.corners, tiles.y.corners, shown, norm=norm, cmap=cmap, label=label)
    numbers = {"low": tiles.least, "high": tiles.greatest, "value": tiles.median}
    known = np.isfinite(tiles.median)
    ROWS[mesh] = _rows(tiles, known, "tile").assign(**{name: values[known] for name, values in numbers.items()})


def hatch(axes: Axes, tiles: Tiles, chosen: NDArray[np.bool_], pattern: str, label: str) -> None:
    """Hatch the chosen tiles, of which there is one at least."""
    x, y = tiles.x.corners, tiles.y.corners
    outlines = [
        [(x[column + right], y[row + up]) for right, up in ((0, 0), (1, 0), (1, 1), (0, 1))]
        for row, column in zip(*np.nonzero(chosen), strict=True)
    ]
    drawn = PolyCollection(outlines, facecolor="none", edgecolor=HATCH, linewidth=0, hatch=pattern, label=label)
    axes.add_collection(drawn, autolim=False)
    ROWS[drawn] = _rows(tiles, chosen, "hatch")


def _rows(tiles: Tiles, chosen: NDArray[np.bool_], mark: str) -> pandas.DataFrame:
    """Where the chosen tiles lie; x and y are the values of their cells, or of a bin the middle."""
    y, x = np.nonzero(chosen)
    return pandas.DataFrame({"mark": mark, "x": tiles.x.values[x], "y": tiles.y.values[y]})


def _ticks(axis: XAxis | YAxis, side: Scale) -> None:
    """Round numbers on a logarithmic axis, and 0 at its tile; on another the tiles' values, if they stand apart."""
    if not side.log:
        if np.diff(side.centres).min(initial=np.inf) >= LEAST_APART * np.ptp(side.corners):
            axis.set_ticks(side.centres, [f"{value:g}" for value in side.centres])
        return
    low, high = side.corners[side.first], side.corners[-1]
    decades = np.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.3 else (1.0, 2.0, 5.0)
    found = [float(tick) for tick in LogLocator(subs=subs).tick_values(low, high) if low <= tick <= high]
    labels = [f"$10^{{{round(np.log10(tick))}}}$" if decades > 2.5 else f"{tick:g}" for tick in found]
    if side.zero:
        found, labels = [float(np.sqrt(side.corners[0] * side.corners[1])), *found], ["0", *labels]
    axis.set_ticks(found, labels)
    axis.set_minor_locator(NullLocator())
