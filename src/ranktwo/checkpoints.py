"""Checkpoints of a running stack: written now and then and when the job is told to stop, read when it starts again."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ranktwo.errors import UserError
from ranktwo.records import Record, Unfinished, read_checkpoint, write_checkpoint

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""Signals on which a job writes a checkpoint and ends: Ctrl-C, kill, a closed terminal, a scheduler's warning."""
SHARE = 0.05
"""Most of the time that may go into checkpoints, however short the interval and slow the disk."""


class Checkpoint:
    """A stack's checkpoint: a context in which SIGNALS do not end the process but ask it to stop at the next pause."""

    def __init__(self, path: Path, interval: float, provenance: dict[str, Any]) -> None:
        """At `path`, every `interval` seconds; `provenance` says where its cells are trained."""
        self._path, self._interval, self._provenance = path, interval, provenance
        self._signal: str | None = None
        self._next = time.monotonic() + interval
        self.finished: dict[str, Record] = {}
        self.unfinished: dict[str, Unfinished] = {}

    def read(self, identities: dict[str, str]) -> None:
        """Take over the cells with these identities from the file, if there is one that can be read."""
        if not self._path.exists():
            return
        try:
            finished, unfinished = read_checkpoint(self._path)
        except UserError as error:
            print(f"ranktwo: {error}; training starts from what else there is", file=sys.stderr)
            return
        self.finished = {n: record for n, record in finished.items() if record.identity == identities.get(n)}
        self.unfinished = {n: cell for n, cell in unfinished.items() if cell.record.identity == identities.get(n)}

    def pause(self, now: Callable[[], tuple[dict[str, Record], dict[str, Unfinished]]]) -> None:
        """Write a checkpoint if it is time or a signal came, in which case UserError says so.

        `now` gives the records of the running cells that are finished, and those that are not.
        """
        if self._signal is None and time.monotonic() < self._next:
            return
        start = time.monotonic()
        finished, unfinished = now()
        self.done(finished)
        self.unfinished |= unfinished
        write_checkpoint(self._path, self.finished, self.unfinished, self._provenance)
        took = time.monotonic() - start
        self._next = time.monotonic() + max(self._interval, took / SHARE)
        if self._signal:
            steps = max((cell.step for cell in unfinished.values()), default=0)
            raise UserError(
                f"training was stopped by {self._signal} at step {steps:,} and is kept in {self._path}; "
                "run snakemake again to go on"
            )

    def done(self, finished: dict[str, Record]) -> None:
        """These cells need nothing more."""
        self.finished |= finished
        self.unfinished = {name: cell for name, cell in self.unfinished.items() if name not in finished}

    def remove(self) -> None:
        """Delete the file: its cells are in the stack's own files."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> "Checkpoint":
        self._before = {name: signal.signal(getattr(signal, name), self._stop) for name in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handler in self._before.items():
            signal.signal(getattr(signal, name), handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name
