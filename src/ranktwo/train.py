"""Train the cells of a stack and record their weights, losses and accuracies at each snapshot."""

import argparse
import functools
import io
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import torch
from tqdm import tqdm

from ranktwo import datasets, devices, engine, files, nets, provenance
from ranktwo.checkpoints import Checkpoint
from ranktwo.errors import UserError, run
from ranktwo.evaluation import Evaluation
from ranktwo.grid import Cell, cell_name, decode, short_hash
from ranktwo.records import METRICS, Record, Unfinished, defined, read_records, write_records

# Weights of the nets trained at once: on a CPU they have to stay in the cache, on a GPU to fill it.
CPU_BYTES, CPU_CELLS = 10_000_000, 32
GPU_BYTES, GPU_CELLS = 2_000_000_000, 512


Now = Callable[[], tuple[dict[str, Record], dict[str, Unfinished]]]
"""Gives the running cells that need no more training, and those that do with what they would go on from."""


def train(
    cells: dict[str, Cell],
    data: datasets.Dataset,
    *,
    snapshots: int,
    device: str,
    progress: "Progress",
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
    at_once = most_at_once(sum(math.prod(pair) for pair in shapes(first, data)), device)
    together: dict[int, list[str]] = {}
    for name in cells:
        together.setdefault(begun[name].step if name in begun else 0, []).append(name)
    records: dict[str, Record] = {}
    for step in sorted(together, reverse=True):
        waiting = _slices(together[step], at_once)
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
            waiting = [part for slice_ in (names, *waiting) for part in _slices(slice_, at_once)]
    return {name: records[name] for name in cells}


def _pause(pause: Callable[[Now], None], before: dict[str, Record], running: "_Slice") -> None:
    def now() -> tuple[dict[str, Record], dict[str, Unfinished]]:
        finished, unfinished = running.now()
        return before | finished, unfinished

    pause(now)


def _slices(names: list[str], at_once: int) -> list[list[str]]:
    """Slices of nearly equal size: 33 cells are better cut 17 + 16 than 32 + 1."""
    count = math.ceil(len(names) / at_once)
    bounds = [len(names) * index // count for index in range(count + 1)]
    return [names[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]


def most_at_once(parameters: int, device: str) -> int:
    """Nets of so many weights that are trained together on a device."""
    cells, room = (GPU_CELLS, GPU_BYTES) if device == "cuda" else (CPU_CELLS, CPU_BYTES)
    return max(1, min(cells, room // (4 * parameters)))


def shapes(cell: Cell, data: datasets.Dataset) -> list[tuple[int, int]]:
    """Inputs and outputs of W_1 .. W_L."""
    sizes = [data.inputs, *cell.widths, data.outputs]
    return list(zip(sizes, sizes[1:], strict=False))


class _Slice:
    """Cells that are trained at once, from their beginning or all from one later step, and what is recorded of them."""

    def __init__(self, cells: dict[str, Cell], data: datasets.Dataset, size: int, snapshots: int, device: str) -> None:
        x, labels = data.train_x[:size].to(device), data.train_y[:size]
        points = list(cells.values())
        noise = [cell.label_noise for cell in points]
        self._facts = {name: _facts(cell, data, size) for name, cell in cells.items()}
        self._training = engine.begin(points, x, labels, data.task, data.outputs)
        self._evaluation = Evaluation(noise, data.task, data.outputs, x, labels, data.test_x, data.test_y)
        self._steps = engine.snapshot_steps(points[0].steps, snapshots)
        self._recorded = 0
        self._matrices = nets.matrix_names(len(self._training.stack.weights))
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

    def train(self, progress: "Progress", pause: Callable[[], None]) -> None:
        """Train all cells to their last step."""
        training = self._training
        progress.skip(training.stack.step, len(self._facts))

        def count(steps: int) -> None:
            progress.tick(steps, len(training.alive), training.stack.step)

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
        weights, slots, step = self._training.stack.state(copy=False)
        for number, name in enumerate(self._facts):
            if number not in alive:
                finished[name] = self._record_of(number, name, len(self._steps))
                continue
            place = alive.index(number)
            unfinished[name] = Unfinished(
                record=self._record_of(number, name, self._recorded),
                step=step,
                weights=[weight[place].cpu() for weight in weights],
                slots=[[matrix[place].cpu() for matrix in slot] for slot in slots],
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


def _facts(cell: Cell, data: datasets.Dataset, size: int) -> dict[str, Any]:
    """The cell's axes with numbers for `all rows` and `full`, and what a reader has to know of its data."""
    facts = asdict(cell) | {"train_size": size, "widths": "-".join(map(str, cell.widths))}
    if cell.batch_size == "full":
        facts["batch_size"] = size
    return facts | {"task": data.task, "inputs": data.inputs, "outputs": data.outputs}


class Progress:
    """One line that shows cells, step, rate and time left: live on a terminal, a new line now and then in a log."""

    def __init__(self, name: str, cells: int, steps: int, stream: TextIO | None = None, interval: float = 10.0) -> None:
        stream = stream or sys.stderr
        self._stream, self._live, self._interval, self._steps = stream, stream.isatty(), interval, steps
        self._bar = tqdm(
            desc=f"{name}: {cells} cells",
            total=cells * steps,
            unit=" cell-steps",
            unit_scale=True,
            file=stream if self._live else io.StringIO(),
            bar_format="{desc}{postfix}, {percentage:.0f} %, {rate_fmt}, {remaining} left",
            mininterval=0.2,
            leave=False,
        )
        self._shown = time.monotonic()

    def skip(self, steps: int, cells: int) -> None:
        """Leave out `steps` steps of `cells` cells, taken before: they count, but not for the rate."""
        self._bar.n += steps * cells
        self._bar.initial += steps * cells
        self._bar.last_print_n = self._bar.n

    def tick(self, steps: int, cells: int, step: int) -> None:
        """Count `steps` steps of `cells` cells, which are now at `step`."""
        self._bar.set_postfix_str(f"step {step:,}/{self._steps:,}", refresh=False)
        self._bar.update(steps * cells)
        if not self._live and time.monotonic() - self._shown > self._interval:
            self._shown = time.monotonic()
            print(self._bar, file=self._stream, flush=True)

    def close(self, text: str) -> None:
        """End the line with `text`."""
        self._bar.close()
        print(text, file=self._stream, flush=True)


def identities(cells: list[Cell], data: datasets.Dataset, settings: dict[str, Any]) -> list[str]:
    """A hash of what determines each cell's numbers: its axes, the data set's content, the settings of its training.

    The settings hold the number of snapshots and the fingerprint of the training code.
    """
    return [short_hash([asdict(cell), data.checksum, settings]) for cell in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="the stack's cells, as ranktwo.grid.encode writes them")
    parser.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors file to write or to add to")
    parser.add_argument("--history", type=Path, required=True, help="Parquet file to write or to add to")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=float, default=60.0, help="seconds between checkpoints")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # Decayed weights become denormal numbers, on which a CPU is ten times slower.
    torch.set_flush_denormal(True)
    with files.only_writer(arguments.weights.parent), devices.reserve(arguments.device) as device:
        _train_new(arguments, device)


def _train_new(arguments: argparse.Namespace, device: str) -> None:
    """Train the cells that are neither in the stack's files nor in its checkpoint, and write those files."""
    cells, options, settings = decode(arguments.job)
    data = datasets.load(arguments.dataset)
    wanted = {cell_name(cell, options): cell for cell in cells}
    expected = dict(zip(wanted, identities(cells, data, settings), strict=True))
    records = _kept(arguments.weights, arguments.history, expected)
    stack, start = arguments.weights.parent.name, time.monotonic()
    here = provenance.circumstances(
        "train", [arguments.dataset], device=devices.name(device), threads=arguments.threads
    )

    def signed(found: dict[str, Record]) -> dict[str, Record]:
        """Say in records made here what they are and where they were made."""
        here["seconds"] = time.monotonic() - start
        for name, record in ((name, record) for name, record in found.items() if not record.identity):
            record.identity, record.runs = expected[name], [*record.runs, here]
        return found

    def now(running: Now) -> tuple[dict[str, Record], dict[str, Unfinished]]:
        finished, unfinished = running()
        signed({name: cell.record for name, cell in unfinished.items()})
        return signed(finished), unfinished

    with Checkpoint(arguments.weights.with_name("checkpoint.safetensors"), arguments.checkpoint, here) as checkpoint:
        checkpoint.read(expected)
        records |= checkpoint.finished
        new = {name: cell for name, cell in wanted.items() if name not in records}
        begun = {name: cell for name, cell in checkpoint.unfinished.items() if name in new}
        progress = Progress(stack, len(new), cells[0].steps)
        if new:
            trained = train(
                new,
                data,
                snapshots=settings["snapshots"],
                device=device,
                progress=progress,
                begun=begun,
                pause=lambda running: checkpoint.pause(lambda: now(running)),
            )
            records |= signed(trained)
        write_records(arguments.weights, arguments.history, records, here)
        checkpoint.remove()
    diverged = sum(records[name].diverged is not None for name in new)
    notes = [f"{len(new)} cells trained in {time.monotonic() - start:.1f} s on {device}"]
    notes += [f"{len(begun)} of them from a checkpoint"] if begun else []
    notes += [f"{diverged} diverged"] if diverged else []
    notes += [f"{len(wanted) - len(new)} kept from before"] if len(wanted) > len(new) else []
    progress.close(f"{stack}: {', '.join(notes)}")


def _kept(weights: Path, history: Path, expected: dict[str, str]) -> dict[str, Record]:
    """Records in a stack's files. Cells that no config asks for now stay; those that would now be others do not."""
    if not (weights.exists() and history.exists()):
        return {}
    try:
        records = read_records(weights, history)
    except UserError as error:
        print(f"ranktwo: {error}", file=sys.stderr)
        return {}
    return {name: record for name, record in records.items() if record.identity == expected.get(name, record.identity)}


if __name__ == "__main__":
    run(main)
