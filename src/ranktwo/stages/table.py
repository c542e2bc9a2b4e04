"""Make one table of a study: numbers in full as CSV, and text for people as Markdown, LaTeX and HTML."""

from pathlib import Path

from ranktwo.evidence import gaps
from ranktwo.report import pages
from ranktwo.stages import parser
from ranktwo.store import registry


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("name", choices=list(registry.entries("table")))
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet of the study")
    for kind in ("csv", "md", "tex", "html"):
        arguments.add_argument(f"--{kind}", type=Path, required=True, help=f"{kind} file to write")
    given = arguments.parse_args()
    cells = gaps.read("gaps", given.gaps)
    table, origin = registry.load("table", given.name)(cells), gaps.origin(cells)
    explanation = registry.entries("table")[given.name].summary
    pages.write(
        {
            given.csv: pages.to_csv(table.numbers),
            given.md: pages.to_markdown(origin, table.text),
            given.tex: pages.to_latex(origin, table.text),
            given.html: pages.to_html(given.name.capitalize(), origin, explanation, table.text),
        }
    )
