"""Train the cells of a stack and record their weights, losses and accuracies at each snapshot."""

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from ranktwo.data.dataset import Dataset
from ranktwo.errors import UserError
from ranktwo.nets import mlp
from ranktwo.progress import Meter
from ranktwo.store.records import METRICS, Record, Unfinished, defined
from ranktwo.study import schedule
from ranktwo.study.axes import Cell
from ranktwo.training import divergence
from ranktwo.training.evaluation import Evaluation

# Weights and activations of the nets trained at once: as many as fill a GPU; on a CPU, which takes them one by one, as
# many as make Python's part of the work small.
CPU_BYTES, CPU_CELLS = 16_000_000, 64
GPU_BYTES, GPU_CELLS = 2_000_000_000, 512
Now = Callable[[], tuple[dict[str, Record], dict[str, Unfinished]]]
"""Gives the running cells that need no more training, and those that do with what they would go on from."""


def train(
    cells: dict[str, Cell],
    data: Dataset,
    *,
    snapshots: int,
    device: str,
    progress: Meter,
    begun: dict[str, Unfinished] | None = None,
    pause: Callable[[Now], None] = lambda now: None,
) -> dict[str, Record]:
    """Train cells that share everything but the stackable axes, as many at once as the device does well.

    Cells in `begun` go on from where they were: their numbers are those of a training that was never broken off.
    `pause` is called every few steps, when what `now` gives is whole.
    """
    begun = {name: found for name, found in (begun or {}).items() if name in cells}
    first = next(iter(cells.values()))
    size = first.train_size or len(data.train_x)
    if size > len(data.train_x):
        raise UserError(f"train_size {size} is more than the {len(data.train_x)} training rows of {data.name}")
    if first.batch_size != "full" and first.batch_size > size:
        raise UserError(f"batch_size {first.batch_size} is more than the {size} training rows of {data.name}")
    if data.task != "regression" and max(cell.label_noise for cell in cells.values()) > 1:
        raise UserError(
            f"label_noise is a share of labels for {data.name}, a classification task; it must be at most 1"
        )
    at_once = most_at_once(shapes(first, data), size if first.batch_size == "full" else first.batch_size, device)
    together: dict[int, list[str]] = {}
    for name in cells:
        together.setdefault(begun[name].step if name in begun else 0, []).append(name)
    records: dict[str, Record] = {}
    for step in sorted(together, reverse=True):
        waiting = even_slices(together[step], at_once)
        while waiting:
            names = waiting.pop(0)
            try:
                running = _Slice({name: cells[name] for name in names}, data, size, snapshots, device)
                if step:
                    running.resume(begun)
                running.train(progress, functools.partial(_pause, pause, records, running))
                records |= running.now()[0]
                continue
            except torch.OutOfMemoryError as error:
                if len(names) == 1:
                    raise UserError(
                        f"one net of {first.dataset} with widths {first.widths} does not fit into the GPU's memory; "
                        "set `device: cpu` in the config, or find a larger GPU"
                    ) from error
                running = None  # and the tensors with it
            # Memory runs out in a slice's first steps: little is lost. Cells do not depend on those beside them.
            print(f"ranktwo: {len(names)} nets at once do not fit into the GPU's memory; halved", file=sys.stderr)
            torch.cuda.empty_cache()
            at_once = math.ceil(len(names) / 2)
            waiting = [part for slice_ in (names, *waiting) for part in even_slices(slice_, at_once)]
    return {name: records[name] for name in cells}


def _pause(pause: Callable[[Now], None], before: dict[str, Record], running: "_Slice") -> None:
    def now() -> tuple[dict[str, Record], dict[str, Unfinished]]:
        finished, unfinished = running.now()
        return before | finished, unfinished

    pause(now)


def even_slices(names: list[str], at_once: int) -> list[list[str]]:
    """Slices of nearly equal size: 33 cells are better cut 17 + 16 than 32 + 1."""
    count = math.ceil(len(names) / at_once)
    bounds = [len(names) * index // count for index in range(count + 1)]
    return [names[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]


def most_at_once(matrices: list[tuple[int, int]], batch_size: int, device: str) -> int:
    """Nets with weight matrices of these inputs and outputs that are trained together on a device."""
    cells, room = (GPU_CELLS, GPU_BYTES) if device == "cuda" else (CPU_CELLS, CPU_BYTES)
    weights = sum(inputs * outputs for inputs, outputs in matrices)
    activations = matrices[0][0] + 2 * sum(outputs for _, outputs in matrices)  # and their gradients
    return max(1, min(cells, room // (4 * (weights + batch_size * activations))))


def shapes(cell: Cell, data: Dataset) -> list[tuple[int, int]]:
    """Inputs and outputs of W_1 .. W_L."""
    sizes = [data.inputs, *cell.widths, data.outputs]
    return list(zip(sizes, sizes[1:], strict=False))


class _Slice:
    """Cells that are trained at once, from their beginning or all from one later step, and what is recorded of them."""

    def __init__(self, cells: dict[str, Cell], data: Dataset, size: int, snapshots: int, device: str) -> None:
        x, labels = data.train_x[:size].to(device), data.train_y[:size]
        points = list(cells.values())
        noise = [cell.label_noise for cell in points]
        self._facts = {name: _facts(cell, data, size) for name, cell in cells.items()}
        self._training = divergence.begin(points, x, labels, data.task, data.outputs)
        self._evaluation = Evaluation(noise, data.task, data.outputs, x, labels, data.test_x, data.test_y)
        self._steps = schedule.snapshot_steps(points[0].steps, snapshots)
        self._recorded = 0
        self._matrices = mlp.matrix_names(len(self._training.stack.weights))
        shape = (len(cells), len(self._steps))
        self._weights = {
            matrix: torch.full((*shape, *pair[::-1]), math.nan)
            for matrix, pair in zip(self._matrices, shapes(points[0], data), strict=True)
        }
        self._history = {metric: torch.full(shape, math.nan, dtype=torch.float64) for metric in METRICS}
        self._runs: dict[str, list[dict[str, Any]]] = {}

    def resume(self, begun: dict[str, Unfinished]) -> None:
        """Go on from where these cells were, all at the same step."""
        found = [begun[name] for name in self._facts]
        layers = [torch.stack(layer) for layer in zip(*(cell.weights for cell in found), strict=True)]
        slots = zip(*(cell.slots for cell in found), strict=True)
        stacked = [[torch.stack(layer) for layer in zip(*slot, strict=True)] for slot in slots]
        self._training.resume(found[0].step, layers, stacked)
        self._recorded = len(found[0].record.history[METRICS[0]])
        for number, cell in enumerate(found):
            for matrix, weights in cell.record.weights.items():
                self._weights[matrix][number, : self._recorded] = weights
            for metric, values in cell.record.history.items():
                known = [math.nan if value is None else value for value in values]
                self._history[metric][number, : self._recorded] = torch.tensor(known, dtype=torch.float64)
        self._runs = {name: begun[name].record.runs for name in self._facts}

    def train(self, progress: Meter, pause: Callable[[], None]) -> None:
        """Train all cells to their last step."""
        training = self._training
        progress.skip(training.stack.step * len(self._facts))

        def count(steps: int) -> None:
            progress.add(steps * len(training.alive))

        def count_and_pause(steps: int) -> None:
            count(steps)
            pause()

        for index in range(self._recorded, len(self._steps)):
            step = self._steps[index]
            # What a few steps can do to V's rank follows from its norm before them: the fewest batches of q samples.
            lag = (min(training.stack.weights[0].shape[1:]) - 1) // training.stack.recipe.batch_size
            training.advance_to(max(step - lag, training.stack.step), count_and_pause)
            lag = step - training.stack.step
            norms = torch.linalg.matrix_norm(training.stack.weights[0].double()).cpu()
            before = dict(zip(training.alive.tolist(), norms.tolist(), strict=True))
            training.advance_to(step, count)
            self._record(index, lag, before)

    def _record(self, index: int, lag: int, before: dict[int, float]) -> None:
        """Record a snapshot; `before` has the norm of V `lag` steps ago by the cell's number."""
        training = self._training
        metrics = self._evaluation.measure(training)
        metrics["norm_before"] = torch.tensor(
            [before[number] for number in training.alive.tolist()], dtype=torch.float64
        )
        metrics["steps_before"] = torch.full_like(metrics["norm_before"], lag)
        finite = torch.stack([values.isfinite() for name, values in metrics.items() if name.endswith("loss")]).all(0)
        if not finite.all():
            training.freeze(~finite, [self._steps[index]] * int((~finite).sum()))
            metrics = {name: values[finite] for name, values in metrics.items()}
        for metric, values in metrics.items():
            self._history[metric][training.alive, index] = values
        for matrix, weight in zip(self._matrices, training.stack.weights, strict=True):
            self._weights[matrix][training.alive, index] = weight.float().cpu()
        self._recorded = index + 1

    def now(self) -> tuple[dict[str, Record], dict[str, Unfinished]]:
        """The cells that need no more training, and those that do with what they would go on from."""
        finished, unfinished = {}, {}
        alive = self._training.alive.tolist() if self._recorded < len(self._steps) else []
        stack = self._training.stack
        for number, name in enumerate(self._facts):
            if number not in alive:
                finished[name] = self._record_of(number, name, len(self._steps))
                continue
            place = alive.index(number)
            unfinished[name] = Unfinished(
                record=self._record_of(number, name, self._recorded),
                step=stack.step,
                weights=[weight[place].cpu() for weight in stack.weights],
                slots=[[matrix[place].cpu() for matrix in slot] for slot in stack.slots],
            )
        return finished, unfinished

    def _record_of(self, number: int, name: str, snapshots: int) -> Record:
        return Record(
            cell=self._facts[name],
            identity="",
            steps=self._steps,
            diverged=self._training.diverged.get(number),
            weights={matrix: weights[number, :snapshots] for matrix, weights in self._weights.items()},
            history={
                metric: [defined(value) for value in values[number, :snapshots].tolist()]
                for metric, values in self._history.items()
            },
            runs=self._runs.get(name, []),
        )


def _facts(cell: Cell, data: Dataset, size: int) -> dict[str, Any]:
    """The cell's axes with numbers for `all rows` and `full`, and what a reader has to know of its data."""
    facts = asdict(cell) | {"train_size": size, "widths": "-".join(map(str, cell.widths))}
    if cell.batch_size == "full":
        facts["batch_size"] = size
    return facts | {"task": data.task, "inputs": data.inputs, "outputs": data.outputs}
