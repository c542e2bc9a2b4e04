"""Several processes that train one stack on a CPU, each some of its cells.

Cells do not depend on those beside them: the numbers are those of one process, to the bit.
"""

import multiprocessing
import multiprocessing.connection
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ranktwo.errors import AFTER_KILL, UserError
from ranktwo.progress import Meter, Progress
from ranktwo.store.records import Record, Unfinished
from ranktwo.study.axes import Cell
from ranktwo.training.checkpoints import Checkpoint
from ranktwo.training.recording import set_up_process

Train = Callable[[dict[str, Cell], dict[str, Unfinished], Checkpoint, Meter], dict[str, Record]]
"""Trains cells, the unfinished ones from where they were, with pauses for the checkpoint; gives their records."""


class _SharedMeter:
    """Counts of what one of several processes did and skipped, in memory that they share."""

    def __init__(self, counts: Any, number: int) -> None:
        self._counts, self._place = counts, 2 * number

    def add(self, count: int) -> None:
        self._counts[self._place] += count

    def skip(self, count: int) -> None:
        self._counts[self._place + 1] += count


def side_by_side(
    train: Train,
    parts: list[dict[str, Cell]],
    unfinished: dict[str, Unfinished],
    checkpoint: Checkpoint,
    progress: Progress,
) -> None:
    """Train each part in a process of its own, which leaves its records in its part of the checkpoint.

    If one process fails, the others write their checkpoints and stop. Raises what went wrong in the first of them.
    """
    checkpoint.gather()
    # A forked process has everything loaded already. But on systems other than Linux, libraries that PyTorch calls do
    # not survive a fork.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    counts = context.RawArray("q", 2 * len(parts))
    running, failures = {}, []
    for number, cells in enumerate(parts):
        receiver, sender = context.Pipe(duplex=False)
        resumed = {name: unfinished[name] for name in cells if name in unfinished}
        arguments = (train, cells, resumed, checkpoint.part(number), _SharedMeter(counts, number), sender)
        process = context.Process(target=_train_part, args=arguments)
        try:
            process.start()
        except OSError:
            checkpoint.stop.value = signal.SIGTERM  # else this process would wait for those that have started
            raise
        sender.close()
        running[process.sentinel] = process, receiver
    told = [0, 0]
    while running:
        for sentinel in multiprocessing.connection.wait(list(running), timeout=0.5):
            process, receiver = running.pop(sentinel)
            process.join()
            if process.exitcode:
                checkpoint.stop.value = checkpoint.stop.value or signal.SIGTERM
                try:
                    failures.append(receiver.recv())
                except EOFError:
                    name = signal.Signals(-process.exitcode).name if process.exitcode < 0 else process.exitcode
                    failures.append((_killed(name), ""))
        done = [sum(counts[0::2]), sum(counts[1::2])]
        progress.skip(done[1] - told[1])
        progress.add(done[0] - told[0])
        told = done
    for error, trace in failures:
        raise error from (RuntimeError(trace) if trace else None)


def _killed(how: str | int) -> UserError:
    return UserError(f"a training process ended with {how}; {AFTER_KILL}")


def _train_part(
    train: Train,
    cells: dict[str, Cell],
    unfinished: dict[str, Unfinished],
    checkpoint: Checkpoint,
    meter: Meter,
    sender: Any,
) -> None:
    """Train one process's cells; leaves their records in its checkpoint, or sends what went wrong."""
    set_up_process()
    try:
        with checkpoint:
            checkpoint.done(train(cells, unfinished, checkpoint, meter))
            checkpoint.write()
    except Exception as error:
        sender.send((error, "" if isinstance(error, UserError) else traceback.format_exc()))
        sys.exit(1)
