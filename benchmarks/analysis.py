"""CPU seconds of the analysis of a study that has been run, beside those of its training.

    python benchmarks/analysis.py [results]

Each stage's work on every stack, done again in one process with one thread; nothing is written. A job of the pipeline
takes as long and starts Python and torch besides, as does training, which is done again like the others.
"""

import argparse
import io
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas
import tabulate
import torch

from ranktwo.analysis import spectra, truncation
from ranktwo.analysis.bounds import table
from ranktwo.analysis.certificates import table
from ranktwo.data import dataset
from ranktwo.data.dataset import Dataset
from ranktwo.progress import Progress
from ranktwo.store import records
from ranktwo.store.records import Record
from ranktwo.study.grid import cell_of
from ranktwo.training import recording
from ranktwo.training.evaluation import Evaluation







def evaluation(cells: dict[str, Record], data: Dataset) -> None:
    """What training itself does at each snapshot, in float32."""
    first = next(iter(cells.values()))
    size, noise = first.cell["train_size"], [record.cell["label_noise"] for record in cells.values()]
    x, test_x = data.train_x[:size].float(), data.test_x.float()
    measured = Evaluation(noise, data.task, data.outputs, x, data.train_y[:size], test_x, data.test_y)
    targets = torch.stack([dataset.training_data(record.cell, data)[1].float() for record in cells.values()])
    for snapshot in range(len(first.steps)):
        nets = zip(*(record.net(snapshot) for record in cells.values()), strict=True)
        stack = SimpleNamespace(x=x, targets=targets, weights=[torch.stack(layer).float() for layer in nets])
        measured.measure(SimpleNamespace(stack=stack, alive=torch.arange(len(cells))))


def training(cells: dict[str, Record], data: Dataset) -> None:
    """The cells, trained once more."""
    wanted = {name: cell_of(record.cell) for name, record in cells.items()}
    data = replace(data, train_x=data.train_x.float(), test_x=data.test_x.float())
    snapshots = len(next(iter(cells.values())).steps) - 1
    recording.train(wanted, data, snapshots=snapshots, device="cpu", progress=Progress("", 1, "", io.StringIO()))


STAGES = {
    "training": training,
    "evaluation": evaluation,
    "spectra": lambda cells, data: [spectra.table(record, name) for name, record in cells.items()],
    "certificates": table.table,
    "truncation": lambda cells, data: [truncation.row(name, record, data) for name, record in cells.items()],
    "bounds": lambda cells, data: [table.row(name, record, data, {}) for name, record in cells.items()],
}


def analysis_rows(results: Path) -> list[dict[str, str]]:
    """A row for each stack and one for all: CPU seconds of training, of evaluation (a part of it) and of each
    analysis; `analysed` and `evaluated` are shares of training: spectra with certificates, and evaluation."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as training does
    found = []
    for run in sorted((results / "runs").iterdir()):
        cells = records.read_records(run / "weights.safetensors", run / "history.parquet")
        dataset = next(iter(cells.values())).cell["dataset"]
        data = dataset.load_data(results / "datasets" / f"{dataset}.safetensors")
        row = {"stack": run.name, "cells": len(cells)}
        for stage, work in STAGES.items():
            before = time.process_time()
            work(cells, data)
            row[stage] = time.process_time() - before
        found.append(row)
    table = pandas.DataFrame(found)
    total = table.sum(numeric_only=True)
    table.loc[len(table)] = {"stack": "all", **total}
    table["analysed"] = (table["spectra"] + table["certificates"]) / table["training"]
    table["evaluated"] = table["evaluation"] / table["training"]
    return [
        {
            name: f"{value:.0%}" if name in ("analysed", "evaluated") else f"{value:.4g}" if name != "stack" else value
            for name, value in row.items()
        }
        for row in table.astype({"cells": int}).to_dict("records")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    print(tabulate.tabulate(analysis_rows(parser.parse_args().results), headers="keys", tablefmt="github"))


if __name__ == "__main__":
    main()
