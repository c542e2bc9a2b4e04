"""TODO training.processes."""

import multiprocessing
import multiprocessing.connection
import signal
import sys
import traceback
from typing import Any

from ranktwo.errors import UserError
from ranktwo.progress import Meter, Progress
from ranktwo.store.records import Unfinished
from ranktwo.study.axes import Cell
from ranktwo.training.checkpoints import Checkpoint
from ranktwo.training.job import Job, set_up

# Several processes. Cells do not depend on those beside them: the numbers are those of one process, to the bit.


class _Tally:
    """A meter in memory that processes share: what process `number` did and skipped."""

    def __init__(self, counts: Any, number: int) -> None:
        self._counts, self._place = counts, 2 * number

    def add(self, count: int) -> None:
        self._counts[self._place] += count

    def skip(self, count: int) -> None:
        self._counts[self._place + 1] += count


def side_by_side(
    job: Job, parts: list[dict[str, Cell]], begun: dict[str, Unfinished], checkpoint: Checkpoint, progress: Progress
) -> None:
    """Train each part in a process of its own, which leaves its records in its part of the checkpoint."""
    checkpoint.gather()
    # A fork has loaded everything already; but on other systems than Linux what PyTorch calls does not survive it.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    counts = context.RawArray("q", 2 * len(parts))
    running, failed = {}, []
    for number, cells in enumerate(parts):
        answer, question = context.Pipe(duplex=False)
        old = {name: begun[name] for name in cells if name in begun}
        target = (job, cells, old, checkpoint.part(number), _Tally(counts, number), question)
        process = context.Process(target=_train_part, args=target)
        try:
            process.start()
        except OSError:
            checkpoint.stop.value = signal.SIGTERM  # or the others would go on, and this process wait for them
            raise
        question.close()
        running[process.sentinel] = process, answer
    seen = [0, 0]
    while running:
        for sentinel in multiprocessing.connection.wait(list(running), timeout=0.5):
            process, answer = running.pop(sentinel)
            process.join()
            if process.exitcode:
                checkpoint.stop.value = checkpoint.stop.value or signal.SIGTERM
                try:
                    failed.append(answer.recv())
                except EOFError:
                    name = signal.Signals(-process.exitcode).name if process.exitcode < 0 else process.exitcode
                    failed.append((_killed(name), ""))
        done = [sum(counts[0::2]), sum(counts[1::2])]
        progress.skip(done[1] - seen[1])
        progress.add(done[0] - seen[0])
        seen = done
    for error, trace in failed:
        raise error from (RuntimeError(trace) if trace else None)


def _killed(how: str | int) -> UserError:
    return UserError(
        f"a training process ended with {how}; if memory ran out, give Snakemake fewer --cores; run it again to go on"
    )


def _train_part(
    job: Job, cells: dict[str, Cell], begun: dict[str, Unfinished], checkpoint: Checkpoint, meter: Meter, question: Any
) -> None:
    """A process's share: its records are in its checkpoint in the end, or what went wrong in the pipe."""
    set_up()
    try:
        with checkpoint:
            checkpoint.done(job.train(cells, begun, checkpoint, meter))
            checkpoint.write()
    except Exception as error:
        question.send((error, "" if isinstance(error, UserError) else traceback.format_exc()))
        sys.exit(1)
