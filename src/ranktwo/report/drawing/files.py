"""Draws a figure into its files: a PDF, a PNG, an SVG for the page of the study, and a CSV of what it shows."""

import io
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import pandas
from matplotlib.figure import Figure

from ranktwo.errors import UserError
from ranktwo.evidence.gaps import Cells, origin
from ranktwo.report.drawing import sidecar
from ranktwo.report.drawing.data import Data, select
from ranktwo.report.drawing.panels import finish
from ranktwo.report.drawing.style import Width, colour_scale, ranktwo_style
from ranktwo.store import provenance, registry
from ranktwo.store.files import replacing
from ranktwo.study.axes import AXES


def draw(
    name: str,
    cells: Cells,
    read: Callable[[str], pandas.DataFrame],
    *,
    where: dict[str, Any],
    width: Width,
    plane: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    pdf: Path,
    png: Path,
    svg: Path,
    csv: Path,
) -> None:
    """Draw a registered figure of the cells that have one of the values of `where` on each axis.

    `read` gives the rows of a table of the whole study. `plane` is the config's section for phase diagrams, `settings`
    the section that the figure reads. The same numbers give the same files, whatever settings of matplotlib the user
    has; the PNG says besides what it was made for. Raises UserError where `where` names no axis or no cell, and where
    the figure reads a table that its decorator does not name.
    """
    rows = _chosen(name, cells.rows, where)
    reads = registry.entries("figure")[name].settings.get("reads", [])

    def read_named(table: str) -> pandas.DataFrame:
        if table not in reads:
            raise UserError(f"the figure {name} reads the table {table}; name it: @figure(reads={[*reads, table]})")
        return read(table)

    source = f"{len(rows)} of {origin(cells.rows)}"
    with ranktwo_style():
        norm = colour_scale(cells.rows["weight_decay"])
        own = {"plane": plane or {}, "settings": settings or {}}
        data = Data(gaps=rows, kinds=cells.kinds, read=read_named, norm=norm, width=width, **own)
        drawn = registry.load("figure", name)(data)
        with replacing(csv) as temporary:
            sidecar.rows(drawn).to_csv(temporary, index=False)
        points = list(sidecar.points(drawn))
        finish(drawn)
        # The layout takes longer than the drawing: it is made once and kept for all files. While one is written,
        # matplotlib sets the layout anew, by this setting. A figure that is one sentence has nothing to lay out.
        if drawn.axes:
            drawn.get_layout_engine().execute(drawn)
        with matplotlib.rc_context({"figure.constrained_layout.use": False}):
            drawn.set_layout_engine(None)
            with replacing(pdf) as temporary:
                # Without a date the same numbers give the same bytes.
                metadata = {"Title": name, "Subject": source, "Creator": "ranktwo", "CreationDate": None}
                drawn.savefig(temporary, metadata=metadata)
            with replacing(svg) as temporary:
                temporary.write_text(_svg(drawn, name, points), encoding="utf-8")
            with replacing(png) as temporary:
                drawn.savefig(temporary, metadata={"Title": name, "Description": source, "Comment": provenance.mark()})


def _svg(drawn: Figure, name: str, points: list[sidecar.Point]) -> str:
    """The drawing as SVG, with an unseen circle on each point that says the point's numbers under the pointer."""
    text = io.StringIO()
    # Letters as shapes look the same everywhere. Names of parts differ between figures: a page can hold several.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        drawn.savefig(text, format="svg", metadata={"Date": None})
    width, height = 72 * drawn.get_size_inches()
    circles = "".join(
        f'<circle cx="{x * width:.1f}" cy="{(1 - y) * height:.1f}" r="4"><title>{escape(said)}</title></circle>\n'
        for x, y, said in sidecar.spots(drawn, points)
    )
    body, end, _ = text.getvalue().rpartition("</svg>")
    return f'{body}<g class="points" fill-opacity="0">\n{circles}</g>\n{end}\n'


def _chosen(name: str, rows: pandas.DataFrame, where: dict[str, Any]) -> pandas.DataFrame:
    for axis in where:
        if axis not in AXES:
            near = registry.near_miss(axis, AXES)
            raise UserError(f"figure {name}: `where` names {axis}, which is no axis of a grid{near}")
    chosen = select(rows, where)
    if chosen.empty:
        raise UserError(f"figure {name}: no cell has the values asked for by `where`; name values of the grid")
    return chosen
