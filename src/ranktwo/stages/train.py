"""Train the nets of one stack and record their weights, losses and scores at each snapshot.

Reads the prepared data set, and what the two files of the stack hold already: only cells that are new are trained.
Writes weights as safetensors and a history of losses and scores as Parquet.
"""

import sys
from pathlib import Path

from ranktwo.stages import parser, positive
from ranktwo.study import jobs
from ranktwo.training.job import train_stack


def main() -> None:
    arguments = parser(__doc__)
    jobs.add_argument(arguments)
    arguments.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    arguments.add_argument("--weights", type=Path, required=True, help="safetensors file to write or to add to")
    arguments.add_argument("--history", type=Path, required=True, help="Parquet file to write or to add to")
    arguments.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if there is one"
    )
    arguments.add_argument("--processes", type=positive, default=1, help="processes that share the cells on a CPU")
    arguments.add_argument("--checkpoint", type=float, default=60.0, help="seconds between checkpoints")
    given = arguments.parse_args()
    job = jobs.of(given)
    print(f"{job.stack}: {jobs.described(job.cells)}", file=sys.stderr, flush=True)
    train_stack(
        job,
        data=given.dataset,
        weights=given.weights,
        history=given.history,
        device=given.device,
        processes=given.processes,
        checkpoint=given.checkpoint,
    )
