"""The training of cells and the record of each: its weights, losses and scores at every snapshot."""

import ctypes
import functools
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from ranktwo.data.dataset import Dataset
from ranktwo.errors import UserError
from ranktwo.nets import net as nets
from ranktwo.nets.losses import target_variance
from ranktwo.nets.modules import ModuleNet
from ranktwo.nets.net import Net
from ranktwo.progress import Meter
from ranktwo.store.columns import REAL, column
from ranktwo.store.records import Record, Unfinished, defined
from ranktwo.study.axes import Cell, widths_text
from ranktwo.study.schedules import snapshot_steps
from ranktwo.training import divergence, evaluation
from ranktwo.training.evaluation import Evaluation
from ranktwo.training.optimizers.base import named

# Most weights and activations, in bytes, and most nets that are trained at once. On a GPU they are enough to fill it. A
# CPU takes one net after the other; there they are enough to make Python's share of the work small. By torch.func every
# step is some hundred calls and runs spare nets besides: too few nets at once take several times as long each.
CPU_BYTES, MODULE_BYTES, CPU_CELLS = 16_000_000, 100_000_000, 64
GPU_BYTES, GPU_CELLS = 2_000_000_000, 512
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`: free memory beyond which it is given back; most pieces given back at once."""

COLUMNS = {
    **evaluation.COLUMNS,
    "norm_before": column(REAL, "||V|| `steps_before` steps before the snapshot.", headline=True),
    "steps_before": column(
        REAL,
        "Steps from there to the snapshot: as many as together see fewer than q samples, floor((q - 1)/B), q = "
        "min(rows, columns) of V, and no more than there are since the snapshot before.",
        unit="steps",
        headline=True,
    ),
}
"""Columns of a cell's history, all that is recorded of a snapshot besides the weights."""

State = tuple[dict[str, Record], dict[str, Unfinished]]
"""Records of cells that need no more training, and the others with what they would go on from, by name."""
ReadState = Callable[[], State]
"""Gives the state of a running training; it takes time, and is called only for a checkpoint."""


def set_up_process() -> None:
    """Set this process up for training: one thread, denormal numbers count as 0, and memory is not given back."""
    # Many small products gain nothing by a second thread, and lose much where cores are shared.
    torch.set_num_threads(1)
    # Decayed weights become denormal numbers, on which a CPU is ten times slower.
    torch.set_flush_denormal(True)
    # Each step needs the memory of the last again, and the system clears what it is given back and asked for anew. A
    # step of a net of convolutions takes up to 1.5 times as long by that.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc has it, other systems' libraries do not
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def train(
    cells: dict[str, Cell],
    data: Dataset,
    *,
    snapshots: int,
    device: str,
    progress: Meter,
    unfinished: dict[str, Unfinished] | None = None,
    pause: Callable[[ReadState], None] = lambda read_state: None,
) -> dict[str, Record]:
    """Train cells that share everything but the stackable axes; returns their records, in the order of `cells`.

    As many are trained at once as the device trains well. Cells in `unfinished` go on from there, with the numbers of a
    training that was never broken off. `pause` is called every few steps, at a moment when the state can be read.
    Raises UserError if the data set has too few rows for the cells, or not the labels for their noise, if the targets
    do not vary, or if one net does not fit into a GPU's memory.
    """
    unfinished = {name: cell for name, cell in (unfinished or {}).items() if name in cells}
    first = next(iter(cells.values()))
    size = first.train_size or len(data.train_x)
    batch_size = size if first.batch_size == "full" else int(first.batch_size)
    if size > len(data.train_x):
        raise UserError(f"train_size {size} is more than the {len(data.train_x)} training rows of {data.name}")
    if batch_size > size:
        raise UserError(f"batch_size {batch_size} is more than the {size} training rows of {data.name}")
    if data.task != "regression" and max(cell.label_noise for cell in cells.values()) > 1:
        raise UserError(
            f"label_noise is a share of labels for {data.name}, a classification task; it must be at most 1"
        )
    if data.task == "regression" and target_variance(data.train_y[:size]) == 0:
        raise UserError(
            f"the first {size} training rows of {data.name} all have the same target, which leaves nothing to learn; "
            "choose a greater train_size"
        )
    at_once = most_at_once(nets.of(vars(first), data.shape, data.outputs), batch_size, device)
    by_step: dict[int, list[str]] = {}
    for name in cells:
        by_step.setdefault(unfinished[name].step if name in unfinished else 0, []).append(name)
    records: dict[str, Record] = {}
    for step in sorted(by_step, reverse=True):
        waiting = even_slices(by_step[step], at_once)
        while waiting:
            names = waiting.pop(0)
            try:
                running = _Slice({name: cells[name] for name in names}, data, size, snapshots, device)
                if step:
                    running.resume(unfinished)
                running.train(progress, functools.partial(_pause, pause, records, running))
                records |= running.state()[0]
                continue
            except torch.OutOfMemoryError as error:
                if len(names) == 1:
                    raise UserError(
                        f"one net of {first.dataset} with widths {first.widths} does not fit into the GPU's memory; "
                        "set `device: cpu` in the config, or find a larger GPU"
                    ) from error
                running = None  # frees its tensors
            # Memory runs out in a slice's first steps, so little is lost. Cells do not depend on those beside them.
            print(f"ranktwo: {len(names)} nets at once do not fit into the GPU's memory; halved", file=sys.stderr)
            torch.cuda.empty_cache()
            at_once = math.ceil(len(names) / 2)
            waiting = [part for slice_ in (names, *waiting) for part in even_slices(slice_, at_once)]
    return {name: records[name] for name in cells}


def _pause(pause: Callable[[ReadState], None], earlier: dict[str, Record], running: "_Slice") -> None:
    """Call `pause` with the state of the running slice and of the slices before it."""

    def read_state() -> State:
        finished, unfinished = running.state()
        return earlier | finished, unfinished

    pause(read_state)


def even_slices(names: list[str], at_once: int) -> list[list[str]]:
    """Slices of at most `at_once` names and of nearly equal size: 33 cells are better cut 17 + 16 than 32 + 1."""
    count = math.ceil(len(names) / at_once)
    bounds = [len(names) * index // count for index in range(count + 1)]
    return [names[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]


def most_at_once(net: Net, batch_size: int, device: str) -> int:
    """How many of these nets are trained together on a device."""
    cells, room = CPU_CELLS, MODULE_BYTES if isinstance(net, ModuleNet) else CPU_BYTES
    if device == "cuda":
        cells, room = GPU_CELLS, GPU_BYTES
    weights = sum(rows * columns for rows, columns in net.shapes)
    return max(1, min(cells, room // (4 * (weights + batch_size * net.activations))))


class _Slice:
    """Cells that are trained at once, from their beginning or all from one later step, and their growing records."""

    def __init__(self, cells: dict[str, Cell], data: Dataset, size: int, snapshots: int, device: str) -> None:
        x, labels = data.train_x[:size].to(device), data.train_y[:size]
        points = list(cells.values())
        noise = [cell.label_noise for cell in points]
        self._facts = {name: _facts(cell, data, size) for name, cell in cells.items()}
        self._training = divergence.begin(points, x, labels, data.task, data.outputs, data.shape)
        self._evaluation = Evaluation(noise, data.task, data.outputs, x, labels, data.test_x, data.test_y)
        self._steps = snapshot_steps(points[0].steps, snapshots)
        self._recorded = 0
        """Snapshots that are recorded so far."""
        self._net = self._training.stack.net
        shape = (len(cells), len(self._steps))
        names = [*self._net.matrices, *self._net.vectors]
        self._weights = {
            name: torch.full((*shape, *pair), math.nan) for name, pair in zip(names, self._net.shapes, strict=True)
        }
        """Of every cell and snapshot, the matrices first."""
        self._history = {name: torch.full(shape, math.nan, dtype=torch.float64) for name in COLUMNS}
        self._runs: dict[str, list[dict[str, Any]]] = {}

    def resume(self, unfinished: dict[str, Unfinished]) -> None:
        """Go on from where these cells were, all at the same step."""
        cells = [unfinished[name] for name in self._facts]
        layers = [torch.stack(layer) for layer in zip(*(cell.weights for cell in cells), strict=True)]
        slots = zip(*(cell.slots for cell in cells), strict=True)
        stacked = [[torch.stack(layer) for layer in zip(*slot, strict=True)] for slot in slots]
        self._training.resume(cells[0].step, layers, stacked)
        self._recorded = len(next(iter(cells[0].record.history.values())))
        for number, cell in enumerate(cells):
            for matrix, weights in cell.record.parameters().items():
                self._weights[matrix][number, : self._recorded] = weights
            for name, values in cell.record.history.items():
                known = [math.nan if value is None else value for value in values]
                self._history[name][number, : self._recorded] = torch.tensor(known, dtype=torch.float64)
        self._runs = {name: unfinished[name].record.runs for name in self._facts}

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
            # The norm of V a few steps earlier bounds what these steps can do to its rank. They are as many as see
            # fewer than q samples.
            lag = (min(training.stack.weights[0].shape[1:]) - 1) // training.stack.recipe.batch_size
            training.advance_to(max(step - lag, training.stack.step), count_and_pause)
            lag = step - training.stack.step
            norms = torch.linalg.matrix_norm(training.stack.weights[0].double()).cpu()
            norm_before = dict(zip(training.alive.tolist(), norms.tolist(), strict=True))
            training.advance_to(step, count)
            if not len(training.alive):
                return
            self._record(index, lag, norm_before)

    def _record(self, index: int, lag: int, norm_before: dict[int, float]) -> None:
        """Record a snapshot; `norm_before` is the norm of V `lag` steps ago, by the cell's number."""
        training = self._training
        values = self._evaluation.measure(training)
        values["norm_before"] = torch.tensor(
            [norm_before[number] for number in training.alive.tolist()], dtype=torch.float64
        )
        values["steps_before"] = torch.full_like(values["norm_before"], lag)
        losses = [one for name, one in values.items() if name.endswith("loss")]
        # A loss too large for float32, in which nets are trained, is not finite.
        finite = torch.stack([loss.float().isfinite() for loss in losses]).all(0)
        if not finite.all():
            training.freeze(~finite, [self._steps[index]] * int((~finite).sum()))
            values = {name: one[finite] for name, one in values.items()}
        for name, one in values.items():
            self._history[name][training.alive, index] = one
        for matrix, weight in zip(self._weights, training.stack.weights, strict=True):
            self._weights[matrix][training.alive, index] = weight.float().cpu()
        self._recorded = index + 1

    def state(self) -> State:
        """The cells that need no more training, and the others with what they would go on from."""
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
            weights={name: self._weights[name][number, :snapshots] for name in self._net.matrices},
            vectors={name: self._weights[name][number, :snapshots] for name in self._net.vectors},
            products={name: list(product) for name, product in self._net.products.items()},
            history={
                column_name: [defined(value) for value in values[number, :snapshots].tolist()]
                for column_name, values in self._history.items()
            },
            runs=self._runs.get(name, []),
        )


def _facts(cell: Cell, data: Dataset, size: int) -> dict[str, Any]:
    """The facts that a reader of the record needs.

    They are the cell's axes, with numbers for `all rows` and `full`; the data's task, inputs and outputs; and of the
    optimizer how it decays (`decay`: coupled or decoupled) and whether its step is plain gradient descent (`plain`).
    """
    facts = asdict(cell) | {"train_size": size, "widths": widths_text(cell.widths)}
    if cell.batch_size == "full":
        facts["batch_size"] = size
    optimizer = named(cell.optimizer)
    facts |= {"task": data.task, "inputs": data.inputs, "outputs": data.outputs}
    return facts | {"decay": optimizer.decay, "plain": optimizer.plain}
