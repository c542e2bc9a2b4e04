"""Say where a result file comes from, and how to repeat it."""

import json
from pathlib import Path

from ranktwo.stages import parser
from ranktwo.store import files
from ranktwo.store.provenance import described


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("file", type=Path, nargs="+", help="a .parquet or .safetensors file of a results folder")
    arguments.add_argument("--json", action="store_true", help="print all metadata as JSON instead")
    given = arguments.parse_args()
    for path in given.file:
        print(json.dumps(files.read_metadata(path), indent=1) if given.json else described(path))
