"""Work in several processes: results in order, and nobody left behind."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import wait_for

from ranktwo import parallel
from ranktwo.errors import UserError
from ranktwo.stages import positive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process does it all")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_parts(processes):
    def work(number: int) -> tuple[int, int]:
        time.sleep(0.1 / (1 + number))  # the first one is the last to end
        return number, os.getpid()

    found = list(parallel.each(work, range(4), processes))
    assert [number for number, _ in found] == [0, 1, 2, 3]
    pids = {pid for _, pid in found}
    assert pids == {os.getpid()} if processes == 1 else 1 <= len(pids - {os.getpid()}) <= processes


def test_what_goes_wrong_is_raised_and_nobody_works_on(tmp_path):
    def work(number: int) -> None:
        (tmp_path / str(os.getpid())).touch()
        if number == 0:
            wait_for("the others", lambda: len(os.listdir(tmp_path)) == 3)
            raise UserError("no such cell")
        time.sleep(600)

    with pytest.raises(UserError, match="no such cell"):
        list(parallel.each(work, range(3), 3))
    assert not any(alive(int(pid)) for pid in os.listdir(tmp_path))


def test_a_process_that_is_killed_is_said_in_a_sentence():
    def work(number: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match="a process was killed; if memory ran out"):
        list(parallel.each(work, range(2), 2))


def test_fewer_than_one_process_are_refused():
    assert positive("3") == 3
    with pytest.raises(argparse.ArgumentTypeError, match="0 is not 1 or more"):
        positive("0")


KILLED = """
import os, signal, sys, time
from ranktwo import parallel

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background ignore it

def work(number):
    os.write(1, b"%d\\n" % os.getpid())  # whole, whoever writes beside
    time.sleep(600)

list(parallel.each(work, range(2), 2))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_with_the_first_process_the_others_end(how):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    assert all(map(alive, pids))
    process.send_signal(how)
    process.wait()
    wait_for("the others' end", lambda: not any(map(alive, pids)))
    process.stdout.close()
    process.stderr.close()
