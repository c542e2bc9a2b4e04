"""Find the minimiser of the decayed loss of two-layer nets, from a data set alone, at the weight decays of a study.

Reads the data set, and the cells of the study from its job files. Trains nothing. Writes one Parquet table. A table
that was made for what is asked for, from splits that are the same, is left alone.
"""

import functools
import json
import os
from pathlib import Path

import torch

from ranktwo.analysis.optimum.table import table
from ranktwo.data import dataset
from ranktwo.errors import UserError
from ranktwo.stages import parser, positive
from ranktwo.store import files, provenance
from ranktwo.study import jobs
from ranktwo.study.problems import problems


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="folder with the job files of the stacks")
    jobs.add_stacks_argument(arguments)
    arguments.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    arguments.add_argument("--settings", type=json.loads, required=True, help="JSON: the config's section `optima`")
    arguments.add_argument("--processes", type=positive, default=1, help="processes that share the problems")
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    prepared = dataset.load(given.dataset)
    stacks = [jobs.read(jobs.path_of(given.results, stack)) for stack in jobs.stacks_of(given)]
    cells = [cell for job in stacks for cell in job.cells if cell.dataset == prepared.metadata["name"]]
    asked = problems(cells, given.settings.pop("splits"))
    checksums = {str(problem.split): prepared.checksum(problem.split) for problem in asked}
    if _is_made(given.output, checksums):
        os.utime(given.output)  # it is as new as what it was made from
        return
    data_in = functools.lru_cache(1)(lambda split: prepared.split(split, torch.float64))
    rows = table(data_in, asked, **given.settings, processes=given.processes)
    origin = provenance.circumstances("optimum", [given.dataset])
    files.write_parquet(given.output, rows, {"checksums": checksums, "provenance": origin})


def _is_made(path: Path, checksums: dict[str, str]) -> bool:
    """Whether a table is whole, and was made for what this job is asked for from splits with these checksums."""
    asked = provenance.ASKED["identity"]
    if asked is None or provenance.identity_of(path) != asked:
        return False
    try:
        return files.read_parquet(path, "optimum")[1]["checksums"] == checksums
    except (UserError, KeyError):
        return False
