"""Put together one row per cell, with its losses, gaps, ranks and bounds after training, from all files of a study."""

import json
from pathlib import Path

from ranktwo.evidence import gaps
from ranktwo.stages import parser
from ranktwo.store import files, provenance
from ranktwo.study import jobs


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="folder with the results of the other stages")
    jobs.add_stacks_argument(arguments)
    arguments.add_argument("--optima", type=Path, nargs="*", default=[], help="Parquet files of minimisers")
    arguments.add_argument("--status", type=json.loads, required=True, help="JSON: the config's section `status`")
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    given = arguments.parse_args()
    stacks = jobs.stacks_of(given)
    rows = gaps.table(given.results, stacks, given.optima, given.status)
    origin = provenance.circumstances("gaps", [*gaps.sources(given.results, stacks), *given.optima])
    files.write_parquet(given.output, rows, {"provenance": origin})
