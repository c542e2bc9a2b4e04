"""Score how well every bound, rate, measure and rank orders the cells by their generalization gap.

Reads gaps.parquet. Writes the statistics as Parquet and CSV, and a summary for people.
"""

from pathlib import Path

import pyarrow

from ranktwo.evidence import gaps, predictors
from ranktwo.report import pages
from ranktwo.report.predictors import EXPLANATION, on_paper, summary
from ranktwo.stages import parser
from ranktwo.store import files, provenance
from ranktwo.store.columns import schema


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet")
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    for kind in ("csv", "md", "tex", "html"):
        arguments.add_argument(f"--{kind}", type=Path, required=True, help=f"{kind} file to write")
    given = arguments.parse_args()
    cells = gaps.read_cells(given.gaps)
    scored, origin = predictors.predictors(cells), gaps.origin(cells.rows)
    table = pyarrow.Table.from_pandas(scored, schema=schema(predictors.COLUMNS), preserve_index=False)
    text = summary(scored)
    pages.write(
        {
            given.csv: pages.to_csv(table.to_pandas()),
            given.md: pages.to_markdown(origin, text),
            given.tex: pages.to_latex(origin, *on_paper(scored)),
            given.html: pages.to_html("Which measure predicts the gap", origin, EXPLANATION, text),
        }
    )
    # Last: the identity in it says of all these files what they were made for.
    files.write_parquet(given.output, table, {"provenance": provenance.circumstances("predictors", [given.gaps])})
