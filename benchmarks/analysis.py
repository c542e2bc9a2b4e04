"""CPU seconds of each analysis of a study that has been run, beside those of its training.

    python benchmarks/analysis.py [results]

The work of training and of every analysis is done again for every stack, in one process with one thread; nothing is
written. A job of the pipeline takes as long, and starts Python and torch besides.
"""

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas
import tabulate
import torch

from ranktwo.analysis.inputs import Inputs
from ranktwo.data.dataset import Dataset, load, training_data
from ranktwo.progress import Progress
from ranktwo.store import registry
from ranktwo.store.records import Record, read_records
from ranktwo.study.grid import cell_of
from ranktwo.training import recording
from ranktwo.training.evaluation import Evaluation


def evaluation(cells: dict[str, Record], data: Dataset) -> None:
    """What training itself does at each snapshot, in float32."""
    first = next(iter(cells.values()))
    size, noise = first.cell["train_size"], [record.cell["label_noise"] for record in cells.values()]
    x, test_x = data.train_x[:size].float(), data.test_x.float()
    measured = Evaluation(noise, data.task, data.outputs, x, data.train_y[:size], test_x, data.test_y)
    targets = torch.stack([training_data(record.cell, data)[1].float() for record in cells.values()])
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


def work() -> dict[str, Callable[[dict[str, Record], Dataset], object]]:
    """What is done with a stack's cells, by name: training, evaluation, and each analysis with default settings."""
    analyses = registry.load_all("analysis")
    return {
        "training": training,
        "evaluation": evaluation,
        **{
            name: lambda cells, data, analyse=analyse: analyse(Inputs(stack="", records=cells, data=data))
            for name, analyse in analyses.items()
        },
    }


def analysis_rows(results: Path) -> list[dict[str, str]]:
    """A row for each stack and one for all: CPU seconds of training, of evaluation (a part of it) and of each analysis.

    Shares of training: `analysed`, of spectra with certificates; `evaluated`, of evaluation.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as training does
    rows = []
    for run in sorted((results / "runs").iterdir()):
        cells = read_records(run / "weights.safetensors", run / "history.parquet")
        name = next(iter(cells.values())).cell["dataset"]
        data = load(results / "datasets" / f"{name}.safetensors").split(0, torch.float64)
        row = {"stack": run.name, "cells": len(cells)}
        for stage, function in work().items():
            before = time.process_time()
            function(cells, data)
            row[stage] = time.process_time() - before
        rows.append(row)
    table = pandas.DataFrame(rows)
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
