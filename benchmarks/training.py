"""Stacked training against the textbook loop (nn.Module, DataLoader, torch.optim.SGD): same cells, one thread each.

    python benchmarks/training.py [--rounds 7] [--steps 300] [--cells 32] [--json FILE]

Both train the same nets on the same data for the same number of steps; rounds alternate between the two, and the ratio
is that of each round, so that a change in the machine's speed falls on both. Times are per cell and step.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from ranktwo import engine, files
from ranktwo.grid import Cell

NETS = {
    "digits 64-128-10": (64, (128,), 10, "multiclass", 1348),
    "digits-3v8 64-128-1": (64, (128,), 1, "binary", 268),
    "breast-cancer 31-128-1": (31, (128,), 1, "binary", 427),
    "diabetes 11-128-1": (11, (128,), 1, "regression", 332),
    "MNIST 784-256-10": (784, (256,), 10, "multiclass", 4000),
}
"""Name -> inputs, widths, outputs, task, training rows: the default study's nets, and the paper's on MNIST."""


def random_data(inputs: int, outputs: int, task: str, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=generator)
    if task == "regression":
        return x, torch.randn(rows, 1, generator=generator)
    return x, torch.randint(0, max(outputs, 2), (rows,), generator=generator)


def stacked(name: str, cells: int, batch_size: int, steps: int) -> float:
    """Seconds per cell and step of the engine."""
    inputs, widths, outputs, task, rows = NETS[name]
    x, y = random_data(inputs, outputs, task, rows)
    axes = {"dataset": name, "widths": widths, "learning_rate": 0.01, "batch_size": batch_size, "steps": steps}
    grid = [Cell(**axes, weight_decay=1e-3 * index, seed=index) for index in range(cells)]
    training = engine.begin(grid, x, y, task, outputs)
    start = time.perf_counter()
    training.advance_to(steps)
    return (time.perf_counter() - start) / (steps * cells)


def textbook(name: str, batch_size: int, steps: int) -> float:
    """Seconds per step of one net in the loop that every tutorial shows."""
    inputs, widths, outputs, task, rows = NETS[name]
    x, y = random_data(inputs, outputs, task, rows)
    y = y if task == "multiclass" else y.float().reshape(-1, 1)
    sizes = [inputs, *widths, outputs]
    layers = []
    for one, other in zip(sizes, sizes[1:], strict=False):
        layers += [torch.nn.Linear(one, other, bias=False), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    losses = {
        "regression": torch.nn.MSELoss,
        "binary": torch.nn.BCEWithLogitsLoss,
        "multiclass": torch.nn.CrossEntropyLoss,
    }
    criterion = losses[task]()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, weight_decay=1e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True, drop_last=True)
    done = 0
    start = time.perf_counter()
    while done < steps:
        for inputs_, wanted in loader:
            optimizer.zero_grad()
            criterion(net(inputs_), wanted).backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return (time.perf_counter() - start) / steps


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--cells", type=int, default=32, help="nets stacked; MNIST's are cut to 8, what a cache holds")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(
        f"B = {arguments.batch_size}, {arguments.rounds} rounds, medians [least, greatest]; torch {torch.__version__}"
    )
    print("\n| net | K | textbook, µs | stacked, µs | ratio |\n|---|---|---|---|---|")
    results = {}
    for name in NETS:
        cells = min(arguments.cells, 8) if name.startswith("MNIST") else arguments.cells
        pairs = []
        for round_ in range(arguments.rounds + 1):
            pair = (
                textbook(name, arguments.batch_size, arguments.steps),
                stacked(name, cells, arguments.batch_size, arguments.steps),
            )
            pairs += [pair] if round_ else []  # the first round warms up
        slow, fast = ([1e6 * pair[side] for pair in pairs] for side in (0, 1))
        result = {"cells": cells, "textbook": spread(slow), "stacked": spread(fast)}
        result["ratio"] = spread([one / other for one, other in pairs])
        results[name] = result
        shown = [
            "{median:.3g} [{least:.3g}, {greatest:.3g}]".format(**result[key])
            for key in ("textbook", "stacked", "ratio")
        ]
        print(f"| {name} | {cells} | {' | '.join(shown)} |", flush=True)
    if arguments.json:
        machine = {"platform": platform.platform(), "torch": torch.__version__}
        with files.replacing(arguments.json) as temporary:
            temporary.write_text(
                json.dumps({"machine": machine, "settings": vars(arguments) | {"json": None}, "nets": results})
            )


if __name__ == "__main__":
    main()
