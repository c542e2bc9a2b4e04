"""Find the minimiser of the decayed loss of two-layer nets, from a data set alone, at the weight decays of a study.

Reads the data set, and the cells of the study from its job files. Trains nothing. Writes one Parquet table.
"""

import functools
import json
from pathlib import Path

import torch

from ranktwo.analysis.optimum.table import table
from ranktwo.data import dataset
from ranktwo.stages import parser
from ranktwo.store import files, provenance
from ranktwo.study import jobs
from ranktwo.study.problems import problems


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="folder with the job files of the stacks")
    jobs.add_stacks_argument(arguments)
    arguments.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    arguments.add_argument("--settings", type=json.loads, required=True, help="JSON: the config's section `optima`")
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    prepared = dataset.load(given.dataset)
    stacks = [jobs.read(jobs.path_of(given.results, stack)) for stack in jobs.stacks_of(given)]
    cells = [cell for job in stacks for cell in job.cells if cell.dataset == prepared.metadata["name"]]
    asked = problems(cells, given.settings.pop("splits"))
    data_in = functools.lru_cache(1)(lambda split: prepared.split(split, torch.float64))
    rows = table(data_in, asked, **given.settings)
    files.write_parquet(given.output, rows, {"provenance": provenance.circumstances("optimum", [given.dataset])})
