"""TODO stages.train."""

import argparse
from pathlib import Path

from ranktwo.store import files
from ranktwo.training import devices
from ranktwo.training.job import set_up, train_stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="the stack's cells, as ranktwo.grid.encode writes them")
    parser.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors file to write or to add to")
    parser.add_argument("--history", type=Path, required=True, help="Parquet file to write or to add to")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--processes", type=int, default=1, help="processes among which the cells are shared on a CPU")
    parser.add_argument("--checkpoint", type=float, default=60.0, help="seconds between checkpoints")
    arguments = parser.parse_args()
    set_up()
    with files.only_writer(arguments.weights.parent), devices.reserve(arguments.device) as device:
        train_stack(arguments, device)


if __name__ == "__main__":
    run(main)
