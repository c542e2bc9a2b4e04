"""Train the cells of a stack and record their weights, losses and accuracies at each snapshot."""

import argparse
import io
import math
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import pyarrow
import torch
from torch import Tensor
from tqdm import tqdm

from ranktwo import datasets, engine, files, nets, provenance
from ranktwo.columns import schema
from ranktwo.errors import UserError, run
from ranktwo.evaluation import Evaluation
from ranktwo.grid import Cell, cell_name, decode, short_hash
from ranktwo.labels import noisy_targets

# Weights of the nets trained at once: on a CPU they have to stay in the cache, on a GPU to fill it.
CPU_BYTES, CPU_CELLS = 10_000_000, 32
GPU_BYTES, GPU_CELLS = 2_000_000_000, 512

METRICS = [
    *(
        f"{part}_{metric}"
        for part in ("train", "clean_train", "test", "noisy_test")
        for metric in ("loss", "accuracy", "r2")
    ),
    *("norm_before", "steps_before"),
]
HISTORY = schema(["cell", "step", "diverged_step", *METRICS])


@dataclass
class Record:
    """What is kept of one cell."""

    cell: dict[str, Any]
    """Its axes, and facts about its data: task, inputs, outputs; train_size and batch_size are numbers here."""
    identity: str
    """Hash of all that determines its numbers: axes, data set, snapshots, and the training code's meaning."""
    steps: list[int]
    """Its snapshots, S of them."""
    diverged: int | None = None
    """First step after which a weight or loss was not finite."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """[S, out, in] by matrix; nan from the step of divergence on."""
    history: dict[str, list[float | None]] = field(default_factory=dict)
    """S values by metric; null where undefined."""

    def net(self, snapshot: int) -> list[Tensor]:
        """W_1 .. W_L, [out, in] each, at a snapshot, in float64."""
        return [self.weights[name][snapshot].double() for name in nets.matrix_names(len(self.weights))]


def train(
    cells: list[Cell], data: datasets.Dataset, *, snapshots: int, device: str, progress: "Progress"
) -> list[Record]:
    """Train cells that share everything but the stackable axes, as many at once as the device does well."""
    first = cells[0]
    size = first.train_size or len(data.train_x)
    if size > len(data.train_x):
        raise UserError(f"train_size {size} is more than the {len(data.train_x)} training rows of {data.name}")
    if first.batch_size != "full" and first.batch_size > size:
        raise UserError(f"batch_size {first.batch_size} is more than the {size} training rows of {data.name}")
    if data.task != "regression" and max(cell.label_noise for cell in cells) > 1:
        raise UserError(
            f"label_noise is a share of labels for {data.name}, a classification task; it must be at most 1"
        )
    parameters = sum(math.prod(pair) for pair in _shapes(first, data))
    if device == "cuda":
        at_once = max(1, min(GPU_CELLS, GPU_BYTES // (4 * parameters)))
    else:
        at_once = max(1, min(CPU_CELLS, CPU_BYTES // (4 * parameters)))
    # Slices of nearly equal size: 33 cells are better cut 17 + 16 than 32 + 1.
    slices = math.ceil(len(cells) / at_once)
    bounds = [len(cells) * index // slices for index in range(slices + 1)]
    parts = [cells[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]
    return [record for part in parts for record in _train_slice(part, data, size, snapshots, device, progress)]


def _shapes(cell: Cell, data: datasets.Dataset) -> list[tuple[int, int]]:
    sizes = [data.inputs, *cell.widths, data.outputs]
    return list(zip(sizes, sizes[1:], strict=False))


def _train_slice(
    cells: list[Cell], data: datasets.Dataset, size: int, snapshots: int, device: str, progress: "Progress"
) -> list[Record]:
    x, labels = data.train_x[:size].to(device), data.train_y[:size]
    training = engine.begin(cells, x, labels, data.task, data.outputs)
    noise = [cell.label_noise for cell in cells]
    evaluation = Evaluation(noise, data.task, data.outputs, x, labels, data.test_x, data.test_y)
    steps = engine.snapshot_steps(cells[0].steps, snapshots)
    names = nets.matrix_names(len(training.stack.weights))
    weights = {
        name: torch.full((len(cells), len(steps), *shape[::-1]), math.nan)
        for name, shape in zip(names, _shapes(cells[0], data), strict=True)
    }
    history = {name: torch.full((len(cells), len(steps)), math.nan, dtype=torch.float64) for name in METRICS}

    def advance(step: int) -> None:
        training.advance_to(step, lambda count: progress.tick(count, len(training.alive), training.stack.step))

    for index, step in enumerate(steps):
        # What a few steps can do to the rank of V follows from its norm before them: the fewest batches of q samples.
        lag = (min(training.stack.weights[0].shape[1:]) - 1) // training.stack.recipe.batch_size
        advance(max(step - lag, training.stack.step))
        lag, norms = step - training.stack.step, torch.linalg.matrix_norm(training.stack.weights[0].double()).cpu()
        before = dict(zip(training.alive.tolist(), norms.tolist(), strict=True))
        advance(step)
        metrics = evaluation.measure(training)
        metrics["norm_before"] = torch.tensor(
            [before[number] for number in training.alive.tolist()], dtype=torch.float64
        )
        metrics["steps_before"] = torch.full_like(metrics["norm_before"], lag)
        finite = torch.stack([values.isfinite() for name, values in metrics.items() if name.endswith("loss")]).all(0)
        if not finite.all():
            training.freeze(~finite, [step] * int((~finite).sum()))
            metrics = {name: values[finite] for name, values in metrics.items()}
        for name, values in metrics.items():
            history[name][training.alive, index] = values
        for name, weight in zip(names, training.stack.weights, strict=True):
            weights[name][training.alive, index] = weight.float().cpu()
    return [
        Record(
            cell=_facts(cell, data, size),
            identity="",
            steps=steps,
            diverged=training.diverged.get(number),
            weights={name: weight[number] for name, weight in weights.items()},
            history={name: [defined(value) for value in values[number].tolist()] for name, values in history.items()},
        )
        for number, cell in enumerate(cells)
    ]


def defined(value: float) -> float | None:
    """The value, or null where it is not finite."""
    return value if math.isfinite(value) else None


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


def read_records(weights: Path, history: Path) -> dict[str, Record]:
    """Records by cell from a stack's two files, of the cells that are whole in both; none where a file is damaged."""
    try:
        tensors, metadata = files.read_tensors(weights)
        table, history_metadata = files.read_parquet(history)
    except UserError:
        return {}
    rows: dict[str, dict[str, list[Any]]] = {}
    for row in table.to_pylist():
        columns = rows.setdefault(row["cell"], {name: [] for name in METRICS})
        for name in METRICS:
            columns[name].append(row[name])
    records = {}
    for name, facts in metadata["cells"].items():
        matrices = {key.partition("/")[2]: tensor for key, tensor in tensors.items() if key.partition("/")[0] == name}
        same = history_metadata["identities"].get(name) == facts["identity"]
        if same and matrices and len(rows.get(name, {}).get("train_loss", [])) == len(facts["steps"]):
            records[name] = Record(**facts, weights=matrices, history=rows[name])
    return records


def stage_parser(description: str | None, *paths: str) -> argparse.ArgumentParser:
    """Arguments of a stage that makes one file of what a stack's training wrote, and of the files named `paths`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", required=True, help="the stack's cells, as ranktwo.grid.encode writes them")
    for path in ("weights", "history", *paths, "output"):
        parser.add_argument(f"--{path}", type=Path, required=True)
    return parser


def load_records(job: str, weights: Path, history: Path) -> dict[str, Record]:
    """Records of a job's cells by name, in the job's order; UserError if the two files lack one."""
    cells, options, _ = decode(job)
    records = read_records(weights, history)
    names = [cell_name(cell, options) for cell in cells]
    missing = [name for name in names if name not in records]
    if missing:
        raise UserError(
            f"{weights} lacks {len(missing)} cells, {missing[0]} for one; delete it and run snakemake again"
        )
    return {name: records[name] for name in names}


def load_data(path: Path) -> datasets.Dataset:
    """The data set in a file with its inputs in float64, in which stages evaluate nets; converted once, for all."""
    data = datasets.load(path)
    return replace(data, train_x=data.train_x.double(), test_x=data.test_x.double())


def training_data(cell: dict[str, Any], data: datasets.Dataset) -> tuple[Tensor, Tensor]:
    """x [N, n] and targets y [N, c], noise included, on which a record's cell was trained."""
    size = cell["train_size"]
    y = noisy_targets(data.train_y[:size], data.task, data.outputs, cell["label_noise"], cell["seed"])
    return data.train_x[:size], y


def write_records(weights: Path, history: Path, records: dict[str, Record], circumstances: dict[str, Any]) -> None:
    """Write a stack's two files: weights as `cell/matrix` [S, out, in], and a row per cell and snapshot."""
    facts = {
        name: {"cell": record.cell, "identity": record.identity, "steps": record.steps, "diverged": record.diverged}
        for name, record in records.items()
    }
    tensors = {f"{name}/{matrix}": w for name, record in records.items() for matrix, w in record.weights.items()}
    columns: dict[str, list[Any]] = {name: [] for name in HISTORY.names}
    for name, record in records.items():
        columns["cell"] += [name] * len(record.steps)
        columns["step"] += record.steps
        columns["diverged_step"] += [record.diverged] * len(record.steps)
        for metric in METRICS:
            columns[metric] += record.history[metric]
    identities = {name: record.identity for name, record in records.items()}
    files.write_tensors(weights, tensors, {"cells": facts, **circumstances})
    files.write_parquet(history, pyarrow.table(columns, schema=HISTORY), {"identities": identities, **circumstances})


def pick_device(asked: str) -> str:
    """`cpu` or `cuda`: what was asked for, where `auto` is a GPU if PyTorch sees one."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "device is cuda, but PyTorch sees no GPU here; set `device: auto` or `device: cpu` in the config"
        )
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="the stack's cells, as ranktwo.grid.encode writes them")
    parser.add_argument("--dataset", type=Path, required=True, help="prepared data set")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors file to write or to add to")
    parser.add_argument("--history", type=Path, required=True, help="Parquet file to write or to add to")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # Decayed weights become denormal numbers, on which a CPU is ten times slower.
    torch.set_flush_denormal(True)
    device = pick_device(arguments.device)

    cells, options, settings = decode(arguments.job)
    data = datasets.load(arguments.dataset)
    wanted = {cell_name(cell, options): cell for cell in cells}
    expected = dict(zip(wanted, identities(cells, data, settings), strict=True))
    records = read_records(arguments.weights, arguments.history)
    records = {name: r for name, r in records.items() if r.identity == expected.get(name, r.identity)}
    new = {name: cell for name, cell in wanted.items() if name not in records}
    progress = Progress(arguments.weights.parent.name, len(new), cells[0].steps)
    start = time.monotonic()
    if new:
        trained = train(list(new.values()), data, snapshots=settings["snapshots"], device=device, progress=progress)
        for name, record in zip(new, trained, strict=True):
            record.identity = expected[name]
            records[name] = record
    seconds = time.monotonic() - start
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    circumstances = provenance.circumstances(name, arguments.threads) | {"seconds": seconds}
    write_records(arguments.weights, arguments.history, records, circumstances)
    diverged = sum(records[name].diverged is not None for name in new)
    notes = [f"{len(new)} cells trained in {seconds:.1f} s on {device}"]
    notes += [f"{diverged} diverged"] if diverged else []
    notes += [f"{len(wanted) - len(new)} kept from before"] if len(wanted) > len(new) else []
    progress.close(f"{arguments.weights.parent.name}: {', '.join(notes)}")


if __name__ == "__main__":
    run(main)
