"""TODO stages.provenance."""

import argparse
import json
from pathlib import Path

from ranktwo.store import files
from ranktwo.store.provenance import described


def main() -> None:
    parser = argparse.ArgumentParser(description="Where a result file comes from, and how to repeat it.")
    parser.add_argument("file", type=Path, nargs="+", help="a .parquet or .safetensors file of a results folder")
    parser.add_argument("--json", action="store_true", help="print all metadata as JSON instead")
    arguments = parser.parse_args()
    for path in arguments.file:
        print(json.dumps(files.read_metadata(path), indent=1) if arguments.json else described(path))


if __name__ == "__main__":
    run(main)
