"""A training job: brings the files of one stack up to date with the cells that the study asks for."""

import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranktwo.data import dataset
from ranktwo.data.dataset import Prepared
from ranktwo.errors import UserError
from ranktwo.progress import Meter, Progress
from ranktwo.store import files, provenance
from ranktwo.store.records import Record, Unfinished, read_records, write_records
from ranktwo.study.axes import REGISTERED, Cell
from ranktwo.study.grid import cell_name, identity
from ranktwo.study.jobs import Job
from ranktwo.study.schedules import kept_steps, snapshot_steps
from ranktwo.training import devices
from ranktwo.training.backends import choice
from ranktwo.training.checkpoints import Checkpoint
from ranktwo.training.optimizers.base import named
from ranktwo.training.processes import side_by_side
from ranktwo.training.recording import COLUMNS, ReadState, State, even_slices, set_up_process, train


def train_stack(
    job: Job,
    *,
    data: Path,
    weights: Path,
    history: Path,
    device: str = "auto",
    processes: int = 1,
    checkpoint: float = 60.0,
) -> None:
    """Train the cells of a job that are not yet in its stack's two files, and write those files.

    data: the prepared data set. device: `auto`, `cpu` or `cuda`. processes: how many share the cells on a CPU.
    checkpoint: seconds between checkpoints. Cells in the files that would get the same numbers today are kept, also
    those that the job does not ask for; a checkpoint beside the files is gone on from, and removed in the end. Raises
    UserError where a file cannot be used or a signal stops the training.
    """
    set_up_process()
    with files.only_writer(weights.parent), devices.reserve(device) as own_device:
        _train_stack(job, data, weights, history, own_device, processes, checkpoint)


def _train_stack(
    job: Job, data_path: Path, weights: Path, history: Path, device: str, processes: int, interval: float
) -> None:
    """`train_stack` on a device that is this process's own."""
    data = dataset.load(data_path)
    wanted = {cell_name(cell, job.options): cell for cell in job.cells}
    run = _Run(
        data=data,
        snapshots=job.snapshots,
        device=device,
        identities={name: identity(cell, data.checksum(cell.split), job.snapshots) for name, cell in wanted.items()},
        provenance=provenance.circumstances(
            "train", [data_path], device=devices.name(device), **_shared_functions(job.cells)
        ),
    )
    keep = kept_steps(snapshot_steps(job.cells[0].steps, job.snapshots), job.keep)
    records = _kept(weights, history, run.identities, keep)
    path = weights.with_name("checkpoint.safetensors")
    with Checkpoint(path, interval, run.provenance) as checkpoint:
        checkpoint.read(run.identities)
        records |= checkpoint.finished
        new = {name: cell for name, cell in wanted.items() if name not in records}
        unfinished = {name: cell for name, cell in checkpoint.unfinished.items() if name in new}
        progress = Progress(f"{job.stack}: {len(new)} cells", len(new) * job.cells[0].steps, "cell-steps")
        parts = even_slices(list(new), math.ceil(len(new) / processes)) if new and device == "cpu" else []
        if len(parts) > 1:
            if any("cpu" in named(cell.optimizer).backends for cell in new.values()):
                choice.numba_works()  # if not, it says so once here, and not in every process
            cells = [{name: new[name] for name in part} for part in parts]
            side_by_side(run.train, cells, unfinished, checkpoint, progress)
            checkpoint.read(run.identities)
            records |= checkpoint.finished
        elif new:
            records |= run.train(new, unfinished, checkpoint, progress)
        records |= {name: records[name].with_weights(keep) for name in wanted}
        run.provenance["seconds"] = time.monotonic() - run.start
        write_records(weights, history, records, COLUMNS, run.provenance)
        checkpoint.remove()
    diverged = sum(records[name].diverged is not None for name in new)
    notes = [f"{len(new)} cells trained in {time.monotonic() - run.start:.1f} s on {device}"]
    notes[0] += f" in {len(parts)} processes" if len(parts) > 1 else ""
    notes += [f"{len(unfinished)} of them from a checkpoint"] if unfinished else []
    notes += [f"{diverged} diverged"] if diverged else []
    notes += [f"{len(wanted) - len(new)} kept from before"] if len(wanted) > len(new) else []
    progress.close(f"{job.stack}: {', '.join(notes)}")


def _shared_functions(cells: list[Cell]) -> dict[str, str]:
    """The optimizer, net, schedule and so on of the cells, as far as all have the same, for the code's fingerprint."""
    values = {mark: {getattr(cell, axis) for cell in cells} for axis, mark in REGISTERED.items()}
    return {mark: names.pop() for mark, names in values.items() if len(names) == 1}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One process's training of a stack's cells, and what it shares with the processes that it starts."""

    data: Prepared
    snapshots: int
    device: str
    identities: dict[str, str]
    """Of every cell that is wanted, by its name."""
    provenance: dict[str, Any]
    """Of the cells that are trained in this run."""
    start: float = field(default_factory=time.monotonic)

    def train(
        self, cells: dict[str, Cell], unfinished: dict[str, Unfinished], checkpoint: Checkpoint, meter: Meter
    ) -> dict[str, Record]:
        """Train cells, split by split, with pauses for the checkpoint; gives their records, signed."""
        records: dict[str, Record] = {}
        for split in sorted({cell.split for cell in cells.values()}):
            done = train(
                {name: cell for name, cell in cells.items() if cell.split == split},
                self.data.split(split),
                snapshots=self.snapshots,
                device=self.device,
                progress=meter,
                unfinished=unfinished,
                pause=lambda read_state: checkpoint.pause(lambda: self._signed_state(read_state)),
            )
            records |= self._signed(done)
            checkpoint.done(records)
        return {name: records[name] for name in cells}

    def _signed_state(self, read_state: ReadState) -> State:
        finished, unfinished = read_state()
        self._signed({name: cell.record for name, cell in unfinished.items()})
        return self._signed(finished), unfinished

    def _signed(self, records: dict[str, Record]) -> dict[str, Record]:
        """The records, each with its cell's identity and with this run among its runs."""
        self.provenance["seconds"] = time.monotonic() - self.start
        for name, record in records.items():
            if not record.identity:
                record.identity, record.runs = self.identities[name], [*record.runs, self.provenance]
        return records


def _kept(weights: Path, history: Path, identities: dict[str, str], keep: list[int]) -> dict[str, Record]:
    """Records in a stack's files, without those that would get other numbers today or lack the weights to keep.

    Cells that are not asked for now stay, whatever their numbers.
    """
    if not (weights.exists() and history.exists()):
        return {}
    try:
        records = read_records(weights, history)
    except UserError as error:
        print(f"ranktwo: {error}", file=sys.stderr)
        return {}
    return {
        name: record
        for name, record in records.items()
        if name not in identities or (record.identity == identities[name] and record.has_weights(keep))
    }
