"""How far a long job is: one line with the share done, the rate and the time left."""

import io
import sys
import time
from collections.abc import Collection, Iterator
from typing import Protocol, TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SHARE = "{desc}, {percentage:.0f} %"
RATE = ", {rate_noinv_fmt}, {remaining} left"
LEAST, LONG = 0.02, 60.0
"""The share of the work, and the seconds, after which a rate is known: whichever comes first."""


class Meter(Protocol):
    """What work reports to."""

    def add(self, count: int) -> None:
        """Count what was just done."""

    def skip(self, count: int) -> None:
        """Count what was done before: it is done, but not for the rate."""


class Progress:
    """One line of text: live on a terminal, a new line now and then in a log.

    It says the rate and the time left once they are known, from what was done after the first report: that one also
    took the start of the work, where files are read and code is compiled.
    """

    def __init__(self, text: str, total: int, unit: str, stream: TextIO | None = None, interval: float = 10.0) -> None:
        stream = stream or sys.stderr
        self._stream, self._live, self._interval = stream, stream.isatty(), interval
        self._bar = tqdm(
            desc=text,
            total=total,
            unit=f" {unit}",
            unit_scale=True,
            file=stream if self._live else io.StringIO(),
            bar_format=SHARE,
            mininterval=0.2,
            miniters=1,
            smoothing=0,  # the mean rate
            leave=False,
            disable=False,  # whatever TQDM_DISABLE says: what is counted is read from the bar
        )
        self._shown = time.monotonic()
        self._began: float | None = None
        """When the first report came."""

    def skip(self, count: int) -> None:
        self._bar.n += count
        self._bar.initial += count
        self._bar.last_print_n = self._bar.n

    def add(self, count: int) -> None:
        now = time.monotonic()
        if self._began is not None:
            done, whole = self._bar.n + count - self._bar.initial, self._bar.total - self._bar.initial
            if done > 0 and (done >= LEAST * whole or now - self._began >= LONG):
                self._bar.bar_format = SHARE + RATE
            self._bar.update(count)
        elif count:
            self._began = now
            self.skip(count)
            self._bar.unpause()  # the clock of the rate starts here
            self._bar.refresh()
        if not self._live and now - self._shown > self._interval:
            self._shown = now
            print(self._bar, file=self._stream, flush=True)

    def close(self, text: str = "") -> None:
        """End the line, with `text` in its place."""
        self._bar.close()
        if text:
            print(text, file=self._stream, flush=True)


def over(items: Collection[Item], text: str, unit: str) -> Iterator[Item]:
    """The items, one after the other, with a line that says how many of them are done."""
    progress = Progress(text, len(items), unit)
    for item in items:
        yield item
        progress.add(1)
    progress.close()
