"""TODO stages.verdicts."""

import argparse
import json
from pathlib import Path

import pyarrow

from ranktwo.evidence import gaps
from ranktwo.evidence.claims.judging import Limits
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.verdicts import NAMES, verdicts
from ranktwo.report import pages
from ranktwo.report.verdicts import details, headlines, page
from ranktwo.store import columns, files, provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument("--thresholds", type=json.loads, default={}, help="JSON: the numbers of `Limits`")
    parser.add_argument("--output", type=Path, required=True)
    for kind in ("md", "tex", "html"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    cells = gaps.read("gaps", arguments.gaps)
    rows = verdicts(cells, Limits(**arguments.thresholds))
    table = pyarrow.Table.from_pandas(rows, schema=columns.schema(NAMES), preserve_index=False)
    files.write_parquet(arguments.output, table, {"provenance": provenance.circumstances("verdicts", [arguments.gaps])})
    origin, parts = gaps.origin(cells), page(rows, cells)
    shown = rows[rows["headline"] & (rows["dataset"] != OVERALL)]
    pages.write(
        {
            arguments.md: pages.to_markdown(origin, *parts),
            arguments.tex: pages.to_latex(origin, headlines(rows), details(shown)),
            arguments.html: pages.to_html("Verdicts", origin, *parts),
        }
    )


if __name__ == "__main__":
    run(main)
