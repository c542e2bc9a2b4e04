"""Measure the trained nets of one stack by analyses: spectra, certificates, bounds and whatever else is registered.

Reads what training wrote, and the data set. Writes one Parquet table for each analysis, results/NAME/{stack}.parquet. A
table that was made for what is asked for, from the same files, is left alone.
"""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow
import torch

from ranktwo import parallel
from ranktwo.analysis.inputs import Inputs, load_records
from ranktwo.data import dataset
from ranktwo.stages import parser, positive
from ranktwo.store import files, provenance, registry
from ranktwo.study import jobs


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("names", nargs="*", help="analyses to make; if none is named those of --identities, or all")
    jobs.add_argument(arguments)
    arguments.add_argument("--weights", type=Path, required=True, help="safetensors file of the stack")
    arguments.add_argument("--history", type=Path, required=True, help="Parquet file of the stack")
    arguments.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    arguments.add_argument("--settings", type=json.loads, default={}, help="JSON: by analysis, its part of the config")
    arguments.add_argument("--identities", type=json.loads, default={}, help="JSON: by analysis, what it is asked for")
    arguments.add_argument("--results", type=Path, required=True, help="folder of results to write to")
    arguments.add_argument("--processes", type=positive, default=1, help="processes that share the cells")
    given = arguments.parse_args()
    known = registry.entries("analysis")
    # argparse's own `choices` would refuse that none is named.
    for name in given.names:
        if name not in known:
            arguments.error(f"{name} is no analysis; analyses are {', '.join(known)}{registry.near_miss(name, known)}")
    # Many small products gain nothing by more threads; stacks run side by side instead.
    torch.set_num_threads(1)
    job = jobs.of(given)
    read = {path: provenance.file_hash(path) for path in (given.weights, given.history, given.dataset)}
    asked = {name: given.identities.get(name) for name in given.names or given.identities or known}
    paths = {name: given.results / name / f"{job.stack}.parquet" for name in asked}
    stale = [
        name
        for name, identity in asked.items()
        if identity is None or not provenance.is_of(paths[name], name, identity, read.values())
    ]
    for name in asked.keys() - stale:
        os.utime(paths[name])  # it is as new as what it was made from
    if not stale:
        return
    records = load_records(job, given.weights, given.history)
    prepared = dataset.load(given.dataset)

    def tables(part: list[str]) -> list[list[pyarrow.Table]]:
        """Of each analysis the table of every split of a part of the cells."""
        found: list[list[pyarrow.Table]] = [[] for _ in stale]
        for split in sorted({records[name].cell["split"] for name in part}):
            own = {name: records[name] for name in part if records[name].cell["split"] == split}
            inputs = Inputs(stack=job.stack, records=own, data=prepared.split(split, torch.float64))
            for made, name in zip(found, stale, strict=True):
                inputs.settings = given.settings.get(name, {})
                made.append(registry.load("analysis", name)(inputs))
        return found

    # Cells of one split share most.
    order = sorted(records, key=lambda name: records[name].cell["split"])
    parts = [part.tolist() for part in np.array_split(np.array(order), min(given.processes, len(order)))]
    for name, *made in zip(stale, *parallel.each(tables, parts, given.processes), strict=True):
        origin = provenance.circumstances("analysis", read, analysis=name) | {"identity": asked[name]}
        files.write_parquet(paths[name], _by_cell(pyarrow.concat_tables(sum(made, [])), order), {"provenance": origin})


def _by_cell(table: pyarrow.Table, order: list[str]) -> pyarrow.Table:
    """The rows cell by cell, whichever cells were measured together."""
    place = {name: number for number, name in enumerate(order)}
    return table.take(np.argsort([place[name] for name in table["cell"].to_pylist()], kind="stable"))
