"""Checkpoints of a running stack: written now and then and when the job is told to stop, read when it starts again."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ranktwo.errors import SIGNALS, UserError
from ranktwo.store import files
from ranktwo.store.records import Record, Unfinished, read_checkpoint, write_checkpoint
from ranktwo.training.recording import ReadState

SHARE = 0.05
"""The largest share of the time that checkpoints may take, however short the interval and slow the disk."""


class Checkpoint:
    """A stack's checkpoint: a context in which a signal does not end the process but asks it to stop at the next pause.

    Each process that trains a part of the stack has a file of its own beside this one. All of them stop together.
    """

    def __init__(self, path: Path, interval: float, provenance: dict[str, Any]) -> None:
        """At `path`, every `interval` seconds; `provenance` says where its cells are trained."""
        self._path, self._interval, self._provenance = path, interval, provenance
        self.stop = multiprocessing.RawValue("i", 0)
        """Number of the signal that came to any of the processes; 0 while none came."""
        self._parent: int | None = None
        self._next = time.monotonic() + interval
        self.finished: dict[str, Record] = {}
        self.unfinished: dict[str, Unfinished] = {}

    def part(self, number: int) -> "Checkpoint":
        """An empty checkpoint for a process that this one starts."""
        part = Checkpoint(self._path, self._interval, self._provenance)
        part._path = self._path.with_name(f"{self._path.stem}-{number}{self._path.suffix}")
        part.stop, part._parent = self.stop, os.getpid()
        return part

    def _parts(self) -> list[Path]:
        return sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"))

    def read(self, identities: dict[str, str]) -> None:
        """Take over the cells with these identities from the checkpoint's files, as far as they can be read."""
        for path in [self._path, *self._parts()]:
            if not path.exists():
                continue
            try:
                finished, unfinished = read_checkpoint(path)
            except UserError as error:
                print(f"ranktwo: {error}; training goes on without this checkpoint", file=sys.stderr)
                continue
            self.done({name: cell for name, cell in finished.items() if cell.identity == identities.get(name)})
            for name, cell in unfinished.items():
                later = name in self.finished or (name in self.unfinished and self.unfinished[name].step >= cell.step)
                if not later and cell.record.identity == identities.get(name):
                    self.unfinished[name] = cell

    def gather(self) -> None:
        """Write all that was read to the one file and delete the parts, whose cells may be shared otherwise now."""
        if parts := self._parts():
            write_checkpoint(self._path, self.finished, self.unfinished, self._provenance)
            for part in parts:
                part.unlink()

    def pause(self, read_state: ReadState) -> None:
        """Write a checkpoint if it is time or a signal came; raises UserError after a signal."""
        if self._parent not in (None, os.getppid()):
            self.stop.value = signal.SIGHUP  # the process that started this one has ended
        stop = self.stop.value
        if not stop and time.monotonic() < self._next:
            return
        start = time.monotonic()
        finished, unfinished = read_state()
        self.done(finished)
        self.unfinished |= unfinished
        self.write()
        took = time.monotonic() - start
        self._next = time.monotonic() + max(self._interval, took / SHARE)
        if stop:
            steps = max((cell.step for cell in unfinished.values()), default=0)
            raise UserError(
                f"training was stopped by {signal.Signals(stop).name} at step {steps:,} and is kept in {self._path}; "
                "run snakemake again to go on"
            )

    def write(self) -> None:
        """Write the file with all cells that this checkpoint knows."""
        write_checkpoint(self._path, self.finished, self.unfinished, self._provenance)

    def done(self, finished: dict[str, Record]) -> None:
        """Keep the records of cells that need no more training."""
        self.finished |= finished
        self.unfinished = {name: cell for name, cell in self.unfinished.items() if name not in finished}

    def remove(self) -> None:
        """Delete the checkpoint's files and the temporary files of killed writers.

        To be called when all cells are in the stack's own files.
        """
        for path in [self._path, *self._parts(), *files.leftovers(self._path.parent)]:
            path.unlink(missing_ok=True)

    def __enter__(self) -> "Checkpoint":
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop.value = number
