"""Write LaTeX macros for every verdict and headline number of a study."""

from pathlib import Path

from ranktwo.evidence import gaps
from ranktwo.report import pages
from ranktwo.report.numbers import macros, to_latex
from ranktwo.stages import parser


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet of the study")
    arguments.add_argument("--verdicts", type=Path, required=True, help="verdicts.parquet of the study")
    arguments.add_argument("--output", type=Path, required=True, help="LaTeX file to write")
    given = arguments.parse_args()
    cells = gaps.read("gaps", given.gaps)
    found = macros(gaps.read("verdicts", given.verdicts), cells)
    pages.write({given.output: to_latex(found, gaps.origin(cells))})
