"""The CSV beside a figure: what the figure shows, read off the drawing, so that it is what is drawn and nothing else.

The CSV has a row for each point with a label. `panel` counts the panels row by row; `title`, `x_axis` and `y_axis`
are the panel's, in LaTeX; `series` is the name in the legend. `mark` says how the point is drawn: line, filled or
hollow marker, point, edge (a cross or triangle at the panel's edge, whose y is not known), level (a line across the
panel), band, tile, or hatch (tiles that are hatched). `x` and `y` are as on the axes, with zero decay at 0, and of a
tile its middle. `low` and `high` are the ends of the band, or of a tile's nets, and `value` is what the colour of the
point or tile stands for.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.scales import STANDS_FOR
from ranktwo.report.drawing.tiles import ROWS
from ranktwo.report.drawing.titles import plain, spoken

COLUMNS = ["panel", "title", "x_axis", "y_axis", "series", "mark", "x", "y", "low", "high", "value"]
Row = dict[str, Any]
Point = tuple[Axes, float, Row]
"""A panel, the x as it is drawn, and the row, whose x may be another number or a word that the x stands for."""


def rows(drawn: Figure) -> pandas.DataFrame:
    """Every labelled point of every panel."""
    return pandas.DataFrame([row for *_, row in points(drawn)], columns=COLUMNS)


def spots(drawn: Figure, found: list[Point]) -> Iterator[tuple[float, float, str]]:
    """Where the points that were found in a drawing are, now that its layout is made, and what each one says.

    In shares of the drawing's width and height from the lower left; without points outside their panel.
    """
    width, height = drawn.bbox.size
    for axes, x, row in found:
        if row["mark"] in ("line", "filled", "hollow", "point") and np.isfinite([x, row["y"]]).all():
            place = axes.transData.transform((x, row["y"]))
            if axes.bbox.padded(2).contains(*place):
                yield float(place[0] / width), float(place[1] / height), _said(row)


def _said(row: Row) -> str:
    """A point's numbers in words."""
    ends = f" ({row['low']:.3g} to {row['high']:.3g})" if "low" in row else ""
    x = f"{row['x']:.4g}" if isinstance(row["x"], float) else row["x"]
    names = [spoken(row[name]) for name in ("series", "y_axis", "x_axis")]
    return f"{names[0]}: {names[1]} {row['y']:.4g}{ends} at {names[2]} {x}"


def points(drawn: Figure) -> Iterator[Point]:
    """Every labelled point."""
    panels = [axes for axes in drawn.axes if axes.get_label() != "<colorbar>"]
    for number, axes in enumerate(panels, 1):
        words = {"title": axes.get_title(), "x_axis": axes.get_xlabel(), "y_axis": axes.get_ylabel()}
        named = {"panel": number} | {name: plain(text) for name, text in words.items()}
        stands_for = STANDS_FOR.get(axes, lambda x: x)
        for row in _with_bands([row for line in axes.lines for row in _of_line(line, axes)], axes):
            x = row.get("x", np.nan)
            yield axes, x, named | row | {"x": stands_for(x) if "x" in row else None}


def _series(artist: Line2D | Collection) -> str:
    """The artist's label; empty where it has none."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else plain(label)


def _of_line(line: Line2D, axes: Axes) -> Iterator[Row]:
    series = _series(line)
    has_x, has_y = line.get_transform().contains_branch_seperately(axes.transData)
    points = np.column_stack([np.asarray(values, dtype=float) for values in line.get_data()])
    if not series:
        return
    if line.get_linestyle() != "None" and not (has_x and has_y):
        place = {"x": points[0, 0]} if has_x else {"y": points[0, 1]}
        yield {"series": series, "mark": "level"} | place
        return
    marker = "hollow" if line.get_markerfacecolor() == "white" else "filled"
    mark = "line" if line.get_linestyle() != "None" else marker if has_y else "edge"
    for x, y in points:
        yield {"series": series, "mark": mark, "x": x} | ({"y": y} if has_y else {})


def _with_bands(lines: list[Row], axes: Axes) -> list[Row]:
    """The rows of lines with the ends of their bands, then the rows of what no line goes through."""
    at = {(row["series"], row["x"]): row for row in lines if row["mark"] in ("line", "filled", "hollow")}
    more: list[Row] = []
    for artist in axes.collections:
        series = _series(artist)
        if not series:
            continue
        if artist in ROWS:
            more += [{"series": series} | row for row in ROWS[artist].to_dict("records")]
        elif isinstance(artist, PathCollection):
            points = np.asarray(artist.get_offsets(), dtype=float)
            array = artist.get_array()
            values = [None] * len(points) if array is None else array.tolist()
            more += [
                {"series": series, "mark": "point", "x": x, "y": y, "value": value}
                for (x, y), value in zip(points.tolist(), values, strict=True)
            ]
        elif isinstance(artist, LineCollection) and _level(artist):
            more += [
                {"series": series, "mark": "level", "x": segment[:, 0].mean(), "y": segment[0, 1]}
                for segment in map(np.asarray, artist.get_segments())
            ]
        else:
            for x, ends in _extents(artist):
                if (series, x) in at:
                    at[series, x].update(ends)
                else:
                    more.append({"series": series, "mark": "band", "x": x} | ends)
    return lines + more


def _level(lines: LineCollection) -> bool:
    """Whether the lines are horizontal."""
    return all(y[0] == y[-1] and x[0] != x[-1] for x, y in (np.transpose(segment) for segment in lines.get_segments()))


def _extents(artist: Collection) -> Iterator[tuple[float, Row]]:
    """The least and the greatest y at each x of a band's outline or of vertical lines."""
    vertices = np.concatenate([path.vertices for path in artist.get_paths()] or [np.empty((0, 2))])
    for x in np.unique(vertices[:, 0]):
        y = vertices[vertices[:, 0] == x, 1]
        yield float(x), {"low": float(y.min()), "high": float(y.max())}
