"""How far a long job is: one line with the share done, the rate and the time left."""

import io
import sys
import time
from collections.abc import Collection, Iterator
from typing import Protocol, TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


class Meter(Protocol):
    """What work reports to."""

    def add(self, count: int) -> None:
        """Count what was just done."""

    def skip(self, count: int) -> None:
        """Count what was done before: it is done, but not for the rate."""


class Progress:
    """One line of text: live on a terminal, a new line now and then in a log."""

    def __init__(self, text: str, total: int, unit: str, stream: TextIO | None = None, interval: float = 10.0) -> None:
        stream = stream or sys.stderr
        self._stream, self._live, self._interval = stream, stream.isatty(), interval
        self._bar = tqdm(
            desc=text,
            total=total,
            unit=f" {unit}",
            unit_scale=True,
            file=stream if self._live else io.StringIO(),
            bar_format="{desc}, {percentage:.0f} %, {rate_fmt}, {remaining} left",
            mininterval=0.2,
            leave=False,
            disable=False,  # whatever TQDM_DISABLE says: what is counted is read from the bar
        )
        self._shown = time.monotonic()

    def skip(self, count: int) -> None:
        self._bar.n += count
        self._bar.initial += count
        self._bar.last_print_n = self._bar.n

    def add(self, count: int) -> None:
        self._bar.update(count)
        if not self._live and time.monotonic() - self._shown > self._interval:
            self._shown = time.monotonic()
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
