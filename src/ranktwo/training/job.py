"""TODO training.job."""

import argparse
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ranktwo.data import dataset
from ranktwo.data.dataset import Dataset
from ranktwo.errors import UserError
from ranktwo.progress import Meter, Progress
from ranktwo.store import provenance
from ranktwo.store.records import Record, Unfinished, read_records, write_records
from ranktwo.study.axes import Cell
from ranktwo.study.grid import cell_name, identities
from ranktwo.study.jobs import decode
from ranktwo.training import devices
from ranktwo.training.checkpoints import Checkpoint
from ranktwo.training.processes import side_by_side
from ranktwo.training.recording import Now, even_slices, train


def set_up() -> None:
    # One thread for each process: many small products gain nothing by more, and lose much where cores are shared.
    torch.set_num_threads(1)
    # Decayed weights become denormal numbers, on which a CPU is ten times slower.
    torch.set_flush_denormal(True)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the training of all cells of a stack has in common."""

    stack: str
    data: Dataset
    snapshots: int
    device: str
    expected: dict[str, str]
    """Cell -> identity."""
    here: dict[str, Any]
    """The provenance of what is trained here."""
    start: float = field(default_factory=time.monotonic)

    def train(
        self, cells: dict[str, Cell], begun: dict[str, Unfinished], checkpoint: Checkpoint, meter: Meter
    ) -> dict[str, Record]:
        """`train`, with pauses for the checkpoint; records say what they are and where they were made."""
        records = train(
            cells,
            self.data,
            snapshots=self.snapshots,
            device=self.device,
            progress=meter,
            begun=begun,
            pause=lambda running: checkpoint.pause(lambda: self._now(running)),
        )
        return self._signed(records)

    def _now(self, running: Now) -> tuple[dict[str, Record], dict[str, Unfinished]]:
        finished, unfinished = running()
        self._signed({name: cell.record for name, cell in unfinished.items()})
        return self._signed(finished), unfinished

    def _signed(self, found: dict[str, Record]) -> dict[str, Record]:
        self.here["seconds"] = time.monotonic() - self.start
        for name, record in ((name, record) for name, record in found.items() if not record.identity):
            record.identity, record.runs = self.expected[name], [*record.runs, self.here]
        return found


def train_stack(arguments: argparse.Namespace, device: str) -> None:
    """Train the cells that are neither in the stack's files nor in its checkpoint, and write those files."""
    cells, options, settings = decode(arguments.job)
    data = dataset.load(arguments.dataset)
    wanted = {cell_name(cell, options): cell for cell in cells}
    job = Job(
        stack=arguments.weights.parent.name,
        data=data,
        snapshots=settings["snapshots"],
        device=device,
        expected=dict(zip(wanted, identities(cells, data, settings), strict=True)),
        here=provenance.circumstances("train", [arguments.dataset], device=devices.name(device)),
    )
    records = _kept(arguments.weights, arguments.history, job.expected)
    path = arguments.weights.with_name("checkpoint.safetensors")
    with Checkpoint(path, arguments.checkpoint, job.here) as checkpoint:
        checkpoint.read(job.expected)
        records |= checkpoint.finished
        new = {name: cell for name, cell in wanted.items() if name not in records}
        begun = {name: cell for name, cell in checkpoint.unfinished.items() if name in new}
        progress = Progress(f"{job.stack}: {len(new)} cells", len(new) * cells[0].steps, "cell-steps")
        parts = even_slices(list(new), math.ceil(len(new) / arguments.processes)) if new and device == "cpu" else []
        if len(parts) > 1:
            side_by_side(job, [{name: new[name] for name in part} for part in parts], begun, checkpoint, progress)
            checkpoint.read(job.expected)
            records |= checkpoint.finished
        elif new:
            records |= job.train(new, begun, checkpoint, progress)
        write_records(arguments.weights, arguments.history, records, job.here)
        checkpoint.remove()
    diverged = sum(records[name].diverged is not None for name in new)
    notes = [f"{len(new)} cells trained in {time.monotonic() - job.start:.1f} s on {device}"]
    notes[0] += f" in {len(parts)} processes" if len(parts) > 1 else ""
    notes += [f"{len(begun)} of them from a checkpoint"] if begun else []
    notes += [f"{diverged} diverged"] if diverged else []
    notes += [f"{len(wanted) - len(new)} kept from before"] if len(wanted) > len(new) else []
    progress.close(f"{job.stack}: {', '.join(notes)}")


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
