"""TODO stages.numbers."""

import argparse
from pathlib import Path

from ranktwo.evidence import gaps
from ranktwo.report import pages
from ranktwo.report.numbers import macros, to_latex


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument("--verdicts", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    cells = gaps.read("gaps", arguments.gaps)
    found = macros(gaps.read("verdicts", arguments.verdicts), cells)
    pages.write({arguments.output: to_latex(found, gaps.origin(cells))})


if __name__ == "__main__":
    run(main)
