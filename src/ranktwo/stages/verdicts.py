"""Give every claim its verdict: rows, and the page that a person reads first.

Reads gaps.parquet and layers.parquet. Writes the verdicts as Parquet, and pages for people.
"""

import json
from pathlib import Path

import pyarrow

from ranktwo.evidence import gaps, verdicts
from ranktwo.evidence.predictors import OVERALL
from ranktwo.report import pages
from ranktwo.report.verdicts import details, overall, page
from ranktwo.stages import parser
from ranktwo.store import files, provenance
from ranktwo.store.columns import schema
from ranktwo.study.limits import Limits


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet")
    arguments.add_argument("--layers", type=Path, required=True, help="layers.parquet")
    arguments.add_argument("--thresholds", type=json.loads, default={}, help="JSON: the config's section `verdicts`")
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    for kind in ("md", "tex", "html"):
        arguments.add_argument(f"--{kind}", type=Path, required=True, help=f"{kind} file to write")
    given = arguments.parse_args()
    cells = gaps.read_cells(given.gaps)
    rows = verdicts.verdicts(cells, gaps.read("layers", given.layers), Limits(**given.thresholds))
    origin, parts = gaps.origin(cells.rows), page(rows, cells.rows)
    by_dataset = rows[rows["headline"] & (rows["dataset"] != OVERALL)]
    pages.write(
        {
            given.md: pages.to_markdown(origin, *parts),
            given.tex: pages.to_latex(origin, overall(rows), details(by_dataset)),
            given.html: pages.to_html("Verdicts", origin, *parts),
        }
    )
    # Last: the identity in it says of all these files what they were made for.
    table = pyarrow.Table.from_pandas(rows, schema=schema(verdicts.COLUMNS), preserve_index=False)
    made_from = provenance.circumstances("verdicts", [given.gaps, given.layers])
    files.write_parquet(given.output, table, {"provenance": made_from})
