"""Draw one figure of a study: PDF, PNG, SVG, and a CSV of what it shows.

Reads gaps.parquet and the tables that the figure says it reads.
"""

import json
from pathlib import Path

import pandas

from ranktwo.evidence import gaps
from ranktwo.report.drawing.files import draw
from ranktwo.report.drawing.style import WIDTHS
from ranktwo.stages import parser
from ranktwo.store import registry
from ranktwo.study import jobs


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("name", choices=sorted(registry.entries("figure")))
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet of the study")
    arguments.add_argument("--results", type=Path, required=True, help="folder with the results of the other stages")
    jobs.add_stacks_argument(arguments)
    arguments.add_argument("--layers", type=Path, nargs="*", default=[], help="layers.parquet of the study")
    arguments.add_argument("--optima", type=Path, nargs="*", default=[], help="Parquet files of minimisers")
    arguments.add_argument("--weights", type=Path, nargs="*", default=[], help="Parquet files of measured weights")
    arguments.add_argument("--where", type=json.loads, default={}, help="JSON: the cells to draw, by axis")
    arguments.add_argument("--plane", type=json.loads, help="JSON: the axes and columns of a phase diagram")
    arguments.add_argument("--settings", type=json.loads, help="JSON: the section of the config that the figure reads")
    arguments.add_argument("--width", choices=list(WIDTHS), default="page", help="as wide as a page or a column of it")
    arguments.add_argument("--pdf", type=Path, required=True, help="PDF file to write")
    arguments.add_argument("--png", type=Path, required=True, help="PNG file to write")
    arguments.add_argument("--svg", type=Path, required=True, help="SVG file to write, with numbers under the pointer")
    arguments.add_argument("--csv", type=Path, required=True, help="CSV file to write: what the figure shows")
    given = arguments.parse_args()
    stacks = jobs.stacks_of(given)

    def read(table: str) -> pandas.DataFrame:
        if table == "measure":
            return pandas.concat([gaps.read(table, path).assign(weights=path.stem) for path in given.weights])
        paths = {"layers": given.layers, "optimum": given.optima}
        return gaps.read(table, *(paths[table] if table in paths else gaps.paths(given.results, table, stacks)))

    draw(
        given.name,
        gaps.read_cells(given.gaps),
        read,
        where=given.where,
        plane=given.plane,
        settings=given.settings,
        width=given.width,
        pdf=given.pdf,
        png=given.png,
        svg=given.svg,
        csv=given.csv,
    )
