"""CPU seconds of the analysis of a study that has been run, beside those of its training.

    python benchmarks/analysis.py [results]

Each stage's work on every stack, done again in one process with one thread; nothing is written. A job of the pipeline
takes as long and starts Python and torch besides, which `start` measures. Training's seconds are those that Snakemake
recorded (start included, as `cpu_time`), without the snapshots that a later run kept.
"""

import argparse
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas
import tabulate
import torch

from ranktwo import bounds, certificates, records, spectra, truncation
from ranktwo.datasets import Dataset
from ranktwo.evaluation import Evaluation
from ranktwo.records import Record


def evaluation(cells: dict[str, Record], data: Dataset) -> None:
    """What training itself does at each snapshot, in float32."""
    first = next(iter(cells.values()))
    size, noise = first.cell["train_size"], [record.cell["label_noise"] for record in cells.values()]
    x, test_x = data.train_x[:size].float(), data.test_x.float()
    measured = Evaluation(noise, data.task, data.outputs, x, data.train_y[:size], test_x, data.test_y)
    targets = torch.stack([records.training_data(record.cell, data)[1].float() for record in cells.values()])
    for snapshot in range(len(first.steps)):
        nets = zip(*(record.net(snapshot) for record in cells.values()), strict=True)
        stack = SimpleNamespace(x=x, targets=targets, weights=[torch.stack(layer).float() for layer in nets])
        measured.measure(SimpleNamespace(stack=stack, alive=torch.arange(len(cells))))


STAGES = {
    "evaluation": evaluation,
    "spectra": lambda cells, data: [spectra.table(record, name) for name, record in cells.items()],
    "certificates": certificates.table,
    "truncation": lambda cells, data: [truncation.row(name, record, data) for name, record in cells.items()],
    "bounds": lambda cells, data: [bounds.row(name, record, data, {}) for name, record in cells.items()],
}


def start_seconds() -> float:
    """CPU seconds in which a process imports what a stage imports: the median of three."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(3):
        before = spent()
        subprocess.run([sys.executable, "-c", "import ranktwo.certificates"], check=True)
        times.append(spent() - before)
    return sorted(times)[1]


def analysis_rows(results: Path) -> list[dict[str, str]]:
    """A row for each stack and one for all of them: CPU seconds of training and of each stage; spectra and certificates
    together, and evaluation (a part of training), also as shares of training with and without its process's start."""
    torch.set_num_threads(1)
    found = []
    for run in sorted((results / "runs").iterdir()):
        cells = records.read_records(run / "weights.safetensors", run / "history.parquet")
        dataset = next(iter(cells.values())).cell["dataset"]
        data = records.load_data(results / "datasets" / f"{dataset}.safetensors")
        recorded = results / "benchmarks" / "train" / f"{run.name}.tsv"
        spent = pandas.read_csv(recorded, sep="\t")["cpu_time"].sum() if recorded.exists() else math.nan
        row = {"stack": run.name, "cells": len(cells), "training": spent}
        for stage, work in STAGES.items():
            before = time.process_time()
            work(cells, data)
            row[stage] = time.process_time() - before
        found.append(row)
    table = pandas.DataFrame(found)
    total = table.sum(numeric_only=True)
    counted = pandas.Series([*[1] * len(table), len(table)])
    table.loc[len(table)] = {"stack": "all", **total}
    analysed = table["spectra"] + table["certificates"]
    table["analysed share"] = analysed / table["training"]
    table["share without start"] = analysed / (table["training"] - start_seconds() * counted)
    table["evaluated share"] = table["evaluation"] / table["training"]
    return [
        {
            name: f"{value:.0%}" if "share" in name else f"{value:.2f}" if isinstance(value, float) else str(value)
            for name, value in row.items()
        }
        for row in table.astype({"cells": int}).to_dict("records")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    print(tabulate.tabulate(analysis_rows(parser.parse_args().results), headers="keys", tablefmt="github"))
    print(f"start of each stage's process: {start_seconds():.2f} s")


if __name__ == "__main__":
    main()
