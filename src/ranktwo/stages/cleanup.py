"""List, and on request delete, results that none of the studies named asks for. Nothing else is ever touched.

These are stacks with all that was made of them, cells within stacks, data sets, and what killed jobs left. A file goes
only if it lies where ranktwo puts it and says itself that ranktwo made it.
"""

from pathlib import Path

from ranktwo.stages import parser
from ranktwo.study import cleanup, config


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("config", type=Path, nargs="+", help="every study whose results are to stay")
    arguments.add_argument("--delete", action="store_true", help="delete what is listed, which is not done without")
    given = arguments.parse_args()
    cleanup.clean([config.load(path) for path in given.config], delete=given.delete)
