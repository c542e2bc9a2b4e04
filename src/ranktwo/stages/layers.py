"""Put together one row per cell and matrix, with its ranks and certificates after training and how its cell ended.

Reads gaps.parquet and the analyses of every stack.
"""

from pathlib import Path

from ranktwo.evidence import layers
from ranktwo.stages import parser
from ranktwo.store import files, provenance
from ranktwo.study import jobs


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet")
    arguments.add_argument("--results", type=Path, required=True, help="folder with the analyses")
    jobs.add_stacks_argument(arguments)
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    given = arguments.parse_args()
    stacks = jobs.stacks_of(given)
    cells, _ = files.read_parquet(given.gaps, "gaps")
    rows = layers.table(given.results, stacks, cells)
    origin = provenance.circumstances("layers", [given.gaps, *layers.sources(given.results, stacks)])
    files.write_parquet(given.output, rows, {"provenance": origin})
