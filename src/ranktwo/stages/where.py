"""Say the folder of results of a study."""

from pathlib import Path

from ranktwo.stages import parser
from ranktwo.study import config


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("config", type=Path, help="the study")
    print(config.load(arguments.parse_args().config)["results"])
