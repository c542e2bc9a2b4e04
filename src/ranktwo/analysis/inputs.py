"""TODO analysis.inputs."""

import argparse
from pathlib import Path

from ranktwo.errors import UserError
from ranktwo.store.records import Record, read_records
from ranktwo.study.grid import cell_name
from ranktwo.study.jobs import decode

# What the stages after training read.


def stage_parser(description: str | None, *paths: str) -> argparse.ArgumentParser:
    """Arguments of a stage that makes one file of what a stack's training wrote, and of the files named `paths`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", required=True, help="the stack's cells, as ranktwo.grid.encode writes them")
    for path in ("weights", "history", *paths, "output"):
        parser.add_argument(f"--{path}", type=Path, required=True)
    return parser


def load_records(job: str, weights: Path, history: Path) -> dict[str, Record]:
    """Records of a job's cells by name, in the job's order; UserError if the two files lack one."""
    cells, options, _ = decode(job)
    records = read_records(weights, history)
    names = [cell_name(cell, options) for cell in cells]
    missing = [name for name in names if name not in records]
    if missing:
        raise UserError(
            f"{weights} lacks {len(missing)} cells, {missing[0]} for one; "
            "run snakemake with `--forcerun train`, which trains no more than those"
        )
    return {name: records[name] for name in names}
