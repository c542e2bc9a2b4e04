"""Measure the trained nets of one stack by one analysis: spectra, certificates, bounds, truncation.

Reads what training wrote, and the data set where the analysis needs it. Writes one Parquet table.
"""

import json
from pathlib import Path

import torch

from ranktwo.analysis.inputs import Inputs, load_records
from ranktwo.data import dataset
from ranktwo.stages import parser
from ranktwo.store import files, provenance, registry
from ranktwo.study import jobs


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("name", choices=list(registry.entries("analysis")))
    jobs.add_argument(arguments)
    arguments.add_argument("--weights", type=Path, required=True, help="safetensors file of the stack")
    arguments.add_argument("--history", type=Path, required=True, help="Parquet file of the stack")
    arguments.add_argument("--dataset", type=Path, help="prepared data set")
    arguments.add_argument("--settings", type=json.loads, default={}, help="JSON: the analysis' section of the config")
    arguments.add_argument("--output", type=Path, required=True, help="Parquet file to write")
    given = arguments.parse_args()
    # Many small products gain nothing by more threads; stacks run side by side instead.
    torch.set_num_threads(1)
    job = jobs.of(given)
    inputs = Inputs(
        stack=job.stack,
        records=load_records(job, given.weights, given.history),
        data=dataset.load_in_float64(given.dataset) if given.dataset else None,
        settings=given.settings,
    )
    table = registry.load("analysis", given.name)(inputs)
    read = [path for path in (given.weights, given.history, given.dataset) if path]
    origin = provenance.circumstances("analysis", read, analysis=given.name)
    files.write_parquet(given.output, table, {"provenance": origin})
