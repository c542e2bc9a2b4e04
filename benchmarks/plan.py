"""The costs of a training step that the plan reckons with, measured and fitted anew, and its estimates of real results.

    python benchmarks/plan.py                       # fits costs.STEP and costs.OPTIMIZER; some five minutes
    python benchmarks/plan.py --results results     # compares jobs with their estimates

Times are CPU times of one thread, so that other work beside disturbs them little.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from training import random_data

from ranktwo.nets.net import ReluMlp
from ranktwo.store import registry
from ranktwo.study import costs, jobs, plan
from ranktwo.study.axes import Cell
from ranktwo.study.costs import Stack
from ranktwo.training import divergence, recording
from ranktwo.training.stack import CHUNK

NETS = [
    (64, (16,), 1),
    (64, (128,), 10),
    (64, (128,), 1),
    (31, (128,), 1),
    (11, (128,), 1),
    (9, (256,), 1),
    (784, (256,), 10),
    (64, (512,), 10),
    (784, (64,), 10),
    (64, (64, 64), 10),
    (3072, (128,), 10),
]
"""Inputs, widths, outputs."""
TERMS = ["product", "weight", "momentum", "adamw", "activation", "cell"]


def step_time(net: tuple[int, tuple[int, ...], int], batch_size: int, optimizer: str, cells: int, steps: int) -> float:
    """CPU microseconds of a step for each cell: median of three rounds."""
    inputs, widths, outputs = net
    task = "multiclass" if outputs > 1 else "regression"
    x, y = random_data(inputs, outputs, task, 1000)
    axes = {"dataset": "random", "widths": widths, "learning_rate": 1e-3, "batch_size": batch_size, "steps": 10**6}
    grid = [Cell(**axes, optimizer=optimizer, weight_decay=1e-3, seed=seed) for seed in range(cells)]
    training = divergence.begin(grid, x, y, task, outputs)
    training.advance_to(CHUNK)
    times = []
    for _ in range(3):
        start = time.process_time()
        training.advance_to(training.stack.step + steps)
        times.append(1e6 * (time.process_time() - start) / (steps * cells))
    return statistics.median(times)


def fit() -> None:
    """Nonnegative least squares of relative errors."""
    rows, times = [], []
    for net in NETS:
        inputs, widths, outputs = net
        sizes = [inputs, *widths, outputs]
        matrices = list(zip(sizes, sizes[1:], strict=False))
        parameters = sum(one * other for one, other in matrices)
        most = {size: recording.most_at_once(ReluMlp(sizes), size, "cpu") for size in (4, 16, 64, 256)}
        runs = [(batch_size, "sgd", cells) for batch_size, cells in most.items()]
        runs += [(16, "momentum", most[16]), (16, "adamw", most[16]), (16, "sgd", max(1, most[16] // 4))]
        for batch_size, optimizer, cells in runs:
            steps = min(1500, max(64, round(0.25 / (cells * (parameters * batch_size * 1.2e-10 + 2e-6)))))
            times.append(step_time(net, batch_size, optimizer, cells, steps))
            extra = [parameters * (optimizer == name) for name in ("momentum", "adamw")]
            rows.append([parameters * batch_size, parameters, *extra, sum(sizes) * batch_size, 1])
            print(f"{sizes} B={batch_size} {optimizer} K={cells}: {times[-1]:.3g} µs", flush=True)
    matrix, measured = np.array(rows), np.array(times)
    found, _ = nnls(matrix / measured[:, None], np.ones(len(measured)))
    ratios = matrix @ found / measured
    print({name: float(f"{value:.3g}") for name, value in zip(TERMS, found, strict=True)})
    print(f"estimate / measured: {ratios.min():.2f} to {ratios.max():.2f}, {len(ratios)} runs")


def compare(results: Path) -> None:
    """What jobs of training and of analyses took, as Snakemake's benchmark files say, beside the estimates."""
    for stage in ("train", "analysis"):
        ratios = []
        for path in sorted((results / "benchmarks" / stage).glob("*.tsv")):
            header, values = (line.split("\t") for line in path.read_text().splitlines())
            took = float(dict(zip(header, values, strict=True))["cpu_time"])
            stack = stack_of(results, path.stem)
            if stage == "train":
                estimate = costs.training_seconds(stack)
            else:
                estimate = sum(costs.analysis_seconds(name, stack) for name in stack.missing)
            ratios.append(estimate / took)
            print(f"{path.stem}: {took:.1f} s, estimate / measured {ratios[-1]:.2f}")
        print(f"{stage}, estimate / measured: {min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} jobs\n")


def stack_of(results: Path, name: str) -> Stack:
    """A stack as it was before anything was made."""
    stack = plan.read(jobs.read(jobs.path_of(results, name)), results)
    assert stack
    made = {analysis for analysis in registry.analyses() if (results / analysis / f"{name}.parquet").exists()}
    return dataclasses.replace(stack, new=stack.cells, missing=made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="folder of a study that was just trained in full")
    arguments = parser.parse_args()
    recording.set_up_process()
    compare(arguments.results) if arguments.results else fit()


if __name__ == "__main__":
    main()
