"""Work on independent parts in several processes of this machine."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from ranktwo.errors import AFTER_KILL, UserError

Part = TypeVar("Part")
Result = TypeVar("Result")
_work: Callable[[Any], Any]


def each(work: Callable[[Part], Result], parts: Sequence[Part], processes: int) -> Iterator[Result]:
    """The results of `work` for all parts, in their order, from so many processes at most.

    Each is forked from this one, so `work` and all that it holds need not be sent; only parts and results are. On
    systems other than Linux, where libraries do not survive a fork, this process does it all. What goes wrong in a
    process is raised here, and the others are ended. They end by themselves if this process is killed.
    """
    if min(processes, len(parts)) < 2 or sys.platform != "linux":
        yield from map(work, parts)
        return
    context, before = multiprocessing.get_context("fork"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(processes, len(parts)), context, _begin, (work,)) as pool:
        try:
            yield from pool.map(_one, parts)
        except BaseException as error:
            # Those that still work would keep this one waiting.
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
            if isinstance(error, BrokenProcessPool):
                raise UserError(f"a process was killed; {AFTER_KILL}") from error
            raise


def _begin(work: Callable[[Any], Any]) -> None:
    """Set a process up. Ctrl-C is for the one that started it."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _one(part: Any) -> Any:
    return _work(part)
