"""What a person sees of a long job: a live line on a terminal, a line now and then in a log."""

import io
import re

import pytest

from ranktwo import progress
from ranktwo.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Seconds of the clock by which lines are shown."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_at_intervals_with_share_rate_and_time_left(clock):
    log = io.StringIO()
    bar = Progress("toy: 4 cells", 400, "cell-steps", log, interval=10)
    for _ in range(4):
        clock[0] += 6
        bar.add(50)
    assert len(log.getvalue().splitlines()) == 2
    for line, share in zip(log.getvalue().splitlines(), (25, 50), strict=True):
        assert re.fullmatch(rf"toy: 4 cells, {share} %, \S+ cell-steps/s, \d\d:\d\d left", line), line
    bar.close("toy: done")
    assert log.getvalue().endswith("toy: done\n")
    assert "\r" not in log.getvalue()


def test_a_terminal_has_one_live_line_that_is_cleared_at_the_end():
    terminal = Terminal()
    bar = Progress("toy: 4 cells", 400, "cell-steps", terminal)
    bar.add(100)
    bar.close("toy: done")
    assert "\n" not in terminal.getvalue().removesuffix("toy: done\n")
    assert "\r" in terminal.getvalue()


def test_what_was_done_before_counts_but_not_for_the_rate(clock):
    log = io.StringIO()
    bar = Progress("toy", 400, "cells", log, interval=0)
    bar.skip(300)
    clock[0] += 1
    bar.add(50)
    assert "toy, 88 %" in log.getvalue()
    assert bar._bar.format_dict["initial"] == 300
    assert bar._bar.format_dict["n"] == 350


def test_over_gives_each_item_and_says_how_many_are_done(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", log)
    monkeypatch.setattr(Progress.__init__, "__defaults__", (None, -1.0))
    assert list(progress.over({"a": 1, "b": 2}.items(), "toy", "cells")) == [("a", 1), ("b", 2)]
    assert [line.split(", ")[1] for line in log.getvalue().splitlines()] == ["50 %", "100 %"]
