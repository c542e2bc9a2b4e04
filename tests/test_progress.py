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
    """Seconds of the clock by which lines are shown and rates are counted."""
    now = [100.0]
    for name in ("ranktwo.progress.time.monotonic", "tqdm.std.time"):
        monkeypatch.setattr(name, lambda: now[0])
    return now


def test_a_log_gets_a_line_at_intervals_with_share_rate_and_time_left(clock):
    log = io.StringIO()
    bar = Progress("toy: 4 cells", 400, "cell-steps", log, interval=10)
    for _ in range(4):
        clock[0] += 6
        bar.add(50)
    assert log.getvalue().splitlines() == [
        "toy: 4 cells, 25 %, 8.33 cell-steps/s, 00:36 left",
        "toy: 4 cells, 50 %, 8.33 cell-steps/s, 00:24 left",
    ]
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
    clock[0] += 2
    bar.add(10)
    assert "toy, 90 %, 5.00 cells/s, 00:08 left" in log.getvalue()


@pytest.mark.parametrize(("seconds", "rate"), [(59, ""), (60, ", 0.07 cell-steps/s, 4:06:45 left")])
def test_no_rate_is_said_of_the_start_of_a_job_nor_of_less_than_a_minute_or_a_fiftieth(seconds, rate, clock):
    log = io.StringIO()
    bar = Progress("toy", 1000, "cell-steps", log, interval=0)
    bar.add(0)
    clock[0] += 30  # it compiles
    bar.add(9)
    clock[0] += seconds
    bar.add(4)
    bar.add(0)
    assert log.getvalue().splitlines() == ["toy, 1 %", f"toy, 1 %{rate}"]
    clock[0] += 1
    bar.add(16)
    assert re.fullmatch(r"toy, 3 %, 0\.3\d cell-steps/s, \d\d:\d\d left", log.getvalue().splitlines()[-1])


def test_over_gives_each_item_and_says_how_many_are_done(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", log)
    monkeypatch.setattr(Progress.__init__, "__defaults__", (None, -1.0))
    assert list(progress.over({"a": 1, "b": 2}.items(), "toy", "cells")) == [("a", 1), ("b", 2)]
    assert [line.split(", ")[1] for line in log.getvalue().splitlines()] == ["50 %", "100 %"]
