"""Draws one figure from the Parquet files alone: PDF, PNG, and CSV of what is drawn; figures are in *_figures.py."""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas

from ranktwo.errors import UserError
from ranktwo.evidence import gaps
from ranktwo.report.drawing import sidecar
from ranktwo.report.drawing.data import FIGURES, TABLES, Data, colour_scale, select
from ranktwo.report.drawing.panels import WIDTHS, finish
from ranktwo.store import files
from ranktwo.study.jobs import stack_names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(FIGURES))
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument(
        "--results", type=Path, required=True, help=f"folder in which the tables lie: {', '.join(TABLES)}"
    )
    parser.add_argument("--stacks", type=stack_names, required=True, help="JSON: the stacks that a table is read of")
    parser.add_argument("--where", type=json.loads, default={}, help="JSON: the cells to draw, by axis")
    parser.add_argument("--style", type=Path, default=Path(__file__).with_name("style.mplstyle"))
    parser.add_argument("--width", choices=list(WIDTHS), default="page")
    for kind in ("pdf", "png", "csv"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    study = gaps.read("gaps", arguments.gaps)
    rows = select(study, arguments.where)
    if rows.empty:
        raise UserError(
            f"figure {arguments.name}: no cell has the values asked for by `where`; name values of the grid"
        )
    plt.style.use(arguments.style)

    def table(name: str) -> pandas.DataFrame:
        return gaps.read(name, *gaps.paths(arguments.results, name, arguments.stacks))

    norm = colour_scale(study["weight_decay"])
    drawn = FIGURES[arguments.name](Data(gaps=rows, read=table, norm=norm, width=arguments.width))
    with files.replacing(arguments.csv) as temporary:
        sidecar.rows(drawn).to_csv(temporary, index=False)
    finish(drawn)
    # Laid out once: the layout takes longer than the drawing.
    drawn.draw_without_rendering()
    with plt.rc_context({"figure.constrained_layout.use": False}):
        drawn.set_layout_engine(None)
    source = f"{len(rows)} of {gaps.origin(study)}"
    # No date: the same numbers give the same bytes.
    pdf = {"Title": arguments.name, "Subject": source, "Creator": "ranktwo", "CreationDate": None}
    png = {"Title": arguments.name, "Description": source}
    for path, metadata in ((arguments.pdf, pdf), (arguments.png, png)):
        with files.replacing(path) as temporary:
            drawn.savefig(temporary, metadata=metadata)


if __name__ == "__main__":
    run(main)
