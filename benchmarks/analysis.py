"""CPU seconds of each analysis of a study that has been run, beside those of its training.

    python benchmarks/analysis.py [results]

The work of training and of every analysis, with default settings, is done again for every stack, in one process that is
set up as for training, with one thread; nothing is written. A job of the pipeline takes as long, and starts Python and
torch besides.
"""

import argparse
import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import tabulate
import torch

from ranktwo.analysis.inputs import Inputs, load_records
from ranktwo.data import dataset
from ranktwo.progress import Progress
from ranktwo.store import registry
from ranktwo.study import jobs, schema
from ranktwo.training import recording
from ranktwo.training.evaluation import Evaluation


@contextlib.contextmanager
def timed(row: dict[str, Any], stage: str) -> Iterator[None]:
    """Add the CPU seconds of the block, or of each call of the function that this decorates, to the row's stage."""
    start = time.process_time()
    yield
    row[stage] += time.process_time() - start


def default_settings(analysis: str) -> dict[str, Any]:
    """The section of the config that an analysis reads, of a study that says nothing there; empty if it reads none."""
    section = registry.entries("analysis")[analysis].settings.get("settings")
    return schema.as_dicts(schema.Study.model_fields[section].default) if section else {}


def stack_row(results: Path, stack: str) -> dict[str, Any]:
    """CPU seconds of training a stack's cells, of the evaluation in it at every snapshot, and of each analysis."""
    job, run = jobs.read(jobs.path_of(results, stack)), results / "runs" / stack
    records = load_records(job, run / "weights.safetensors", run / "history.parquet")
    cells = dict(zip(records, job.cells, strict=True))
    prepared = dataset.load(results / "datasets" / f"{job.cells[0].dataset}.safetensors")
    analyses = registry.load_all("analysis")
    row = {"stack": stack, "cells": len(cells)} | dict.fromkeys(["training", "evaluation", *analyses], 0.0)
    # Timed within training: a study may have kept the weights of few of the snapshots that were evaluated.
    measure = timed(row, "evaluation")(Evaluation.measure)
    for split in sorted({cell.split for cell in job.cells}):
        wanted = {name: cell for name, cell in cells.items() if cell.split == split}
        data, progress = prepared.split(split), Progress("", 1, "", io.StringIO())
        with mock.patch.object(Evaluation, "measure", measure), timed(row, "training"):
            recording.train(wanted, data, snapshots=job.snapshots, device="cpu", progress=progress)
        of_split, data = {name: records[name] for name in wanted}, prepared.split(split, torch.float64)
        inputs = Inputs(stack=stack, records=of_split, data=data)
        for name, analyse in analyses.items():
            inputs.settings = default_settings(name)
            with timed(row, name):
                analyse(inputs)
    return row


def analysis_rows(results: Path) -> list[dict[str, str]]:
    """A row for each stack of the study and one for all, with CPU seconds of each stage as `stack_row` has them.

    Shares of training: `analysed`, of spectra with certificates; `evaluated`, of evaluation.
    """
    rows = [stack_row(results, stack) for stack in jobs.read_stacks(jobs.list_of(results))]
    rows.append({name: sum(row[name] for row in rows) if name != "stack" else "all" for name in rows[0]})
    return [
        {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in row.items()}
        | {
            "analysed": f"{(row['spectra'] + row['certificates']) / row['training']:.0%}",
            "evaluated": f"{row['evaluation'] / row['training']:.0%}",
        }
        for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    arguments = parser.parse_args()
    recording.set_up_process()
    print(tabulate.tabulate(analysis_rows(arguments.results), headers="keys", tablefmt="github"))


if __name__ == "__main__":
    main()
