"""The profile slurm on a real SLURM: the same bits as a local run, whatever happens to the jobs in between.

Runs where SLURM answers, or where `slurm-up` can start one: in the folder `shared` beside the checkout, or where
RANKTWO_SLURM_UP says. All studies run at the same time, each in its own copy of the project.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pandas
import pytest
import torch
from support import (
    ROOT,
    SMALL,
    copy_project,
    environment,
    gaps,
    never_shared,
    patience,
    processes_in,
    said,
    signals,
    stages_in,
    start,
    steps_in,
    training_halted,
    wait_for,
    with_axis,
)

from ranktwo.store import records
from ranktwo.store.records import Record

pytestmark = pytest.mark.slow
SLURM_UP = Path(os.environ.get("RANKTWO_SLURM_UP") or ROOT.parent / "shared" / "slurm" / "slurm-up")
ASKED_OFTEN = ("--slurm-init-seconds-before-status-checks", "4")


def long() -> dict:
    """A study whose training lasts for long enough to be disturbed twice."""
    return with_axis("steps", steps_in(6)) | {"device": "cpu", "checkpoint": 0.2}


def answers() -> bool:
    return (
        bool(shutil.which("sinfo"))
        and subprocess.run(["sinfo"], capture_output=True, timeout=patience(6)).returncode == 0
    )


def slurm_up() -> bool:
    """Start what of the tests' own SLURM is not at work: a controller that has crashed goes on with its jobs."""
    settings = {"SLURM_UP_CPUS": "8", "SLURM_UP_GPUS": "2"}
    return subprocess.run([SLURM_UP], env=os.environ | settings, timeout=patience(60)).returncode == 0


@pytest.fixture(scope="session")
def cluster() -> Iterator[bool]:
    """A SLURM that takes jobs, until all tests are over: where it is installed and down, Snakemake starts 9 s later.

    True if it is these tests' own.
    """
    if answers():
        yield False
        return
    if not SLURM_UP.exists():
        pytest.skip(f"no SLURM answers, and no {SLURM_UP} could start one; name its path in RANKTWO_SLURM_UP")
    if not slurm_up():
        pytest.skip(f"{SLURM_UP} could not start SLURM")
    yield True
    # With its configuration left, every later Snakemake here would wait for it, 9 s at its start.
    subprocess.run([SLURM_UP.with_name("slurm-down"), "--purge"], check=True, timeout=patience(12))


def finish(folder: Path, process: subprocess.Popen) -> str:
    """What Snakemake said."""
    code = process.wait(timeout=patience(100))
    assert code == 0, said(folder)
    return said(folder)


def jobs(folder: Path) -> dict[str, str]:
    """States of the SLURM jobs of a copy of the project, by their numbers."""
    command = ["squeue", "--noheader", "--states=all", "--format=%i|%T|%Z"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split("|") for line in lines]
    return {number: state for number, state, where in rows if where == str(folder)}


def slurm(folder: Path, study: dict, *arguments: str) -> subprocess.Popen:
    return start(folder, study, "--profile", "slurm", *ASKED_OFTEN, *arguments)


def whole_study(folder: Path) -> str:
    return finish(folder, slurm(folder, SMALL))


def undisturbed(folder: Path) -> str:
    return finish(folder, start(folder, long(), "--cores", "2", "--until", "train"))


def out_of_time(folder: Path) -> str:
    """Once training is under way its limit becomes two minutes, so that SLURM's next look within 30 s ends it.

    SLURM warns a job whose two minutes are not yet over, and ends another at once.
    """
    process = slurm(folder, long(), "--until", "train", "--set-resources", "train:slurm_extra='--signal=TERM@110'")
    with training_halted(folder) as [training]:
        (number,) = jobs(folder)
        subprocess.run(["scontrol", "update", f"JobId={number}", "TimeLimit=2"], check=True)
        wait_for("the signal", lambda: {signal.SIGTERM} <= signals(training, "ShdPnd") or not stages_in(folder), 40)
    return finish(folder, process)


def requeued_and_cancelled(folder: Path) -> str:
    process = slurm(folder, long(), "--until", "train")
    with training_halted(folder):
        (number,) = jobs(folder)
        subprocess.run(["scontrol", "requeue", number], check=True)
        wait_for("the job in the queue again", lambda: jobs(folder) == {number: "PENDING"})
    # A requeued job waits for two minutes or so, unless told otherwise.
    subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], check=True)
    with training_halted(folder):
        assert jobs(folder) == {number: "RUNNING"}
        subprocess.run(["scancel", number], check=True)
    return finish(folder, process)


def twice_at_once(folder: Path) -> str:
    """As after a killed Snakemake whose job is still in SLURM: a second job with the same command."""
    process = slurm(folder, long(), "--until", "train")
    with training_halted(folder) as [training]:
        command = processes_in(folder)[training]
        environ = environment(PYTHONPATH=str(folder / "src"))
        again = ["sbatch", f"--chdir={folder}", "--output=again.txt", f"--wrap={shlex.join(command)}"]
        subprocess.run(again, check=True, env=environ, cwd=folder, capture_output=True)
        output = folder / "again.txt"
        wait_for("two jobs at once", lambda: output.exists() and "waiting for another" in output.read_text(), 60)
    printed = finish(folder, process)
    wait_for("the end of both", lambda: list(jobs(folder).values()) == ["COMPLETED"] * 2)
    return printed


def failed_node(folder: Path) -> str:
    """The one node is down until nothing of the job is left on it. Not a scenario that others can run beside."""
    process = slurm(folder, long(), "--until", "train")
    with training_halted(folder):
        (number,) = jobs(folder)
        where = ["squeue", "--noheader", f"--jobs={number}", "--format=%N"]
        node = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
        update = ["scontrol", "update", f"NodeName={node}"]
        subprocess.run([*update, "State=DOWN", "Reason=test"], check=True)
        wait_for("the job in the queue again", lambda: jobs(folder) == {number: "PENDING"})
    watcher = ["pgrep", "--full", rf"slurmstepd: \[{number}\."]
    wait_for("the end of the job", lambda: subprocess.run(watcher, capture_output=True).returncode == 1)

    def controlled() -> bool:
        """SLURM 22.05's controller has crashed where it was asked about a job that it was starting."""
        return answers() or slurm_up()

    def started() -> bool:
        # A launch fails on a node that has not put all of the last run away: SLURM then drains it and holds the job.
        assert controlled(), "SLURM's controller is gone and does not start again"
        for change in (
            update[1:] + ["State=RESUME"],
            ["release", number],
            ["update", f"JobId={number}", "StartTime=now"],
        ):
            subprocess.run(["scontrol", *change], capture_output=True)
        time.sleep(5)  # until it would be known that the launch failed again
        return controlled() and jobs(folder) != {number: "PENDING"}

    wait_for("the job's second start", started)
    wait_for("Snakemake's end", lambda: controlled() and process.poll() is not None, 100)
    return finish(folder, process)


def kill_all(folder: Path) -> None:
    """What a scenario that failed left behind, or the first Snakemake on a node that was only said to be down."""
    for process in processes_in(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


SCENARIOS = (whole_study, undisturbed, out_of_time, requeued_and_cancelled, twice_at_once)


@pytest.fixture(scope="module")
def runs(cluster, tmp_path_factory) -> Iterator[Callable[[Callable[[Path], str]], tuple[Path, str]]]:
    """Folder and output of each scenario once it is over."""
    folders = {
        scenario: copy_project(tmp_path_factory.mktemp(f"{scenario.__name__}-{os.getpid()}")) for scenario in SCENARIOS
    }
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        futures: dict[Callable, Future] = {s: pool.submit(s, folder) for s, folder in folders.items()}
        yield lambda scenario: (folders[scenario], futures[scenario].result())
    for folder in folders.values():
        kill_all(folder)


def trained_records(folder: Path) -> dict[str, Record]:
    """What the training of the study's one stack left."""
    (stack,) = (folder / "results" / "runs").iterdir()
    assert not (stack / "checkpoint.safetensors").exists()
    return records.read_records(stack / "weights.safetensors", stack / "history.parquet")


def equal_bits(one: dict[str, Record], other: dict[str, Record]) -> None:
    assert list(one) == list(other)
    assert len(one) == 4
    for mine, yours in zip(one.values(), other.values(), strict=True):
        assert (mine.identity, mine.history) == (yours.identity, yours.history)
        for matrix, weights in mine.weights.items():
            assert torch.equal(weights.view(torch.int32), yours.weights[matrix].view(torch.int32))


def processes(folder: Path) -> int:
    """In how many processes, one after the other, each cell was trained."""
    (count,) = {len(record.runs) for record in trained_records(folder).values()}
    return count


def test_a_study_on_slurm_is_the_local_one_to_the_bit(runs, finished):
    folder, printed = runs(whole_study)
    equal_bits(trained_records(folder), trained_records(finished))
    pandas.testing.assert_frame_equal(gaps(folder), gaps(finished), check_exact=True)
    assert (folder / "results" / "figures" / "spectrum.pdf").exists()
    assert len(re.findall("has been submitted with SLURM jobid", printed)) == len(jobs(folder)) == 3


def test_a_job_that_runs_out_of_time_goes_on_in_its_next_attempt(runs):
    folder, printed = runs(out_of_time)
    assert "Trying to restart job" in printed
    assert processes(folder) > 1
    equal_bits(trained_records(folder), trained_records(runs(undisturbed)[0]))


def test_a_requeued_and_then_cancelled_job_goes_on(runs):
    folder, printed = runs(requeued_and_cancelled)
    assert "Trying to restart job" in printed
    assert sorted(jobs(folder).values()) == ["CANCELLED", "COMPLETED"]
    assert processes(folder) == 3
    equal_bits(trained_records(folder), trained_records(runs(undisturbed)[0]))


def test_the_second_of_two_jobs_on_one_stack_waits_and_trains_nothing(runs):
    folder, _ = runs(twice_at_once)
    assert list(jobs(folder).values()) == ["COMPLETED"] * 2
    assert processes(folder) == 1
    again = (folder / "again.txt").read_text()
    assert "waiting for another process" in again
    assert ": 0 cells trained in" in again
    equal_bits(trained_records(folder), trained_records(runs(undisturbed)[0]))


def test_a_job_whose_node_fails_starts_again_when_the_node_is_back(cluster, runs, tmp_path):
    if not cluster:
        pytest.skip("this SLURM was there before the tests, which take down no node of others")
    for scenario in SCENARIOS:  # this node is theirs, too
        with contextlib.suppress(Exception):
            runs(scenario)
    folder = copy_project(tmp_path)
    try:
        failed_node(folder)
    finally:
        kill_all(folder)
    assert list(jobs(folder).values()) == ["COMPLETED"]
    assert processes(folder) == 2
    equal_bits(trained_records(folder), trained_records(runs(undisturbed)[0]))


def test_jobs_of_slurm_keep_the_gpu_that_it_gave_them_and_never_share_it(cluster, tmp_path):
    program = (
        "import os, time; from ranktwo.training import devices\n"
        "with devices.own_gpu() as gpu:\n"
        "    start = time.time(); time.sleep(2); print(gpu, start, time.time())\n"
    )
    (tmp_path / "job.sh").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}'\n")
    command = ["sbatch", "--parsable", "--wait", "--gpus=1", "--mem=500", "-D", str(tmp_path), "-o", "%j.out", "job.sh"]
    environ = environment(PYTHONPATH=str(ROOT / "src"))
    started = [subprocess.Popen(command, cwd=tmp_path, env=environ) for _ in range(3)]
    assert [job.wait(timeout=patience(30)) for job in started] == [0] * 3
    holds = [path.read_text().split() for path in tmp_path.glob("*.out")]
    assert [len(hold) for hold in holds] == [3] * 3
    never_shared(holds)
