"""TODO stages.table."""

import argparse
from pathlib import Path

from ranktwo.evidence import gaps
from ranktwo.report.pages import to_csv, to_html, to_latex, to_markdown, write
from ranktwo.report.tables import TABLES
from ranktwo.store.registry import registered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(TABLES))
    parser.add_argument("--gaps", type=Path, required=True)
    for kind in ("csv", "md", "tex", "html"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    cells = gaps.read("gaps", arguments.gaps)
    made, origin = TABLES[arguments.name](cells), gaps.origin(cells)
    said, *_ = registered("table")[arguments.name].split("\n\n")
    write(
        {
            arguments.csv: to_csv(made.numbers),
            arguments.md: to_markdown(origin, made.text),
            arguments.tex: to_latex(origin, made.text),
            arguments.html: to_html(arguments.name.capitalize(), origin, said, made.text),
        }
    )


if __name__ == "__main__":
    run(main)
