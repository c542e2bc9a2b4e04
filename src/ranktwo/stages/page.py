"""Write the page of a study that is read first and sent to colleagues: one HTML file with verdicts and figures.

Reads gaps.parquet, verdicts.parquet, and the figures' SVG files.
"""

import json
from pathlib import Path

from ranktwo.evidence import gaps
from ranktwo.report import front, pages
from ranktwo.stages import parser


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=json.loads, required=True, help="JSON: the study, defaults filled in")
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet of the study")
    arguments.add_argument("--verdicts", type=Path, required=True, help="verdicts.parquet of the study")
    arguments.add_argument("--figures", type=Path, nargs="*", default=[], help="SVG files named after their figures")
    arguments.add_argument("--captions", type=json.loads, default={}, help="JSON: title and caption of each figure")
    arguments.add_argument("--html", type=Path, required=True, help="page to write")
    given = arguments.parse_args()
    figures = [
        front.Drawn(path.stem, title, caption, path.read_text(encoding="utf-8"))
        for path in given.figures
        for title, caption in [given.captions[path.stem]]
    ]
    rows, cells = gaps.read("verdicts", given.verdicts), gaps.read("gaps", given.gaps)
    pages.write({given.html: front.page(given.config, rows, cells, figures)})
