"""The real Snakemake, killed again and again: what the docs say to type gives what an undisturbed run would give."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from support import (
    ROOT,
    SMALL,
    checkpoints_in,
    patience,
    run_study,
    said,
    signals,
    slowness,
    snakemake,
    stages_in,
    start,
    steps_in,
    trained,
    wait_for,
    with_axis,
)

from ranktwo.store import files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").exists(), reason="what runs is read from /proc, which only Linux has"),
]
KILLS = ["dataset", "train", "train", "analysis", "optimum", "figure"]
"""Stages in which a run is killed, in this order; a stage that was done before is forced to run again."""


def stages(folder: Path) -> dict[str, int]:
    """The stages that run now in a folder, and the process of each."""
    return {command[0]: process for process, command in stages_in(folder).items()}


def wait_while_it_runs(process: subprocess.Popen, what: str, condition: Callable[[], object]) -> None:
    """Wait until a condition holds, or until Snakemake has ended without it."""
    wait_for(what, lambda: condition() or process.poll() is not None, 60)


def run_until(folder: Path, study: dict, stage: str) -> subprocess.Popen:
    """Snakemake on its way, with a job of this stage at work; a stage that is done is forced to run again."""
    force: list[str] = []
    while True:
        process = start(folder, study, "--cores", "2", *force)
        wait_while_it_runs(process, stage, lambda: stage in stages(folder))
        if process.poll() is None:
            return process
        assert process.returncode == 0, said(folder)
        force = ["--forcerun", stage]


def kill(folder: Path, process: subprocess.Popen, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended just now
        os.killpg(process.pid, how)
    process.wait(timeout=patience(6))
    wait_for("the end of all jobs", lambda: not stages(folder))


def content(results: Path) -> dict[str, object]:
    """What counts of every result file but logs: numbers without times, text and pictures byte for byte."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        # The page of the study says when each file was made; README.md is git's.
        if path.is_dir() or name.startswith(("logs/", "benchmarks/")) or name in ("study.html", "README.md"):
            continue
        if path.suffix == ".parquet":
            found[name] = pyarrow.parquet.read_table(path).replace_schema_metadata()
        elif path.suffix == ".safetensors":
            found[name] = files.read_tensors(path)[0]
        else:
            found[name] = path.read_bytes()
    return found


def check_same(one: Path, other: Path) -> None:
    first, second = content(one), content(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, pyarrow.Table):
            assert value.equals(second[name]), name
        elif isinstance(value, dict):
            assert value.keys() == second[name].keys()
            assert all(torch.equal(tensor, second[name][key]) for key, tensor in value.items()), name
        else:
            assert value == second[name], name


def test_kills_at_random_moments_of_all_stages_lose_nothing(checkout):
    # The training is so long that the kills leave some of it to do: a training that has ended has no checkpoint.
    axes = {"weight_decay": [0, 0.3], "steps": steps_in(3), "learning_rate": 0.05, "optimizer": "momentum"}
    study = SMALL | {"grids": [SMALL["grids"][0] | axes], "checkpoint": 0.2}
    assert trained(run_study(checkout, study)) == [4]
    results, whole = checkout / "results", checkout / "whole"
    results.rename(whole)
    shutil.rmtree(checkout / ".snakemake")

    chance, resumed = random.Random(0), 0
    for number, stage in enumerate(KILLS):
        process = run_until(checkout, study, stage)
        # Every other training is killed right after a checkpoint of its own, however fast the machine is.
        before = checkpoints_in(results)
        if stage == "train" and number % 2:
            wait_while_it_runs(process, "a checkpoint", lambda: checkpoints_in(results) - before)  # noqa: B023
        else:
            time.sleep(chance.uniform(0, 1.5 * slowness()))
        kill(checkout, process, signal.SIGKILL)
        assert "Traceback" not in said(checkout)
        resumed += "from a checkpoint" in said(checkout)
        if number:
            # All that --unlock does, without its start.
            shutil.rmtree(checkout / ".snakemake" / "locks", ignore_errors=True)
        else:
            # What docs/reading.md says to type.
            assert snakemake(checkout, "--unlock", "--configfile", "study.yaml").returncode == 0
    done = snakemake(checkout, "--configfile", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert resumed
    check_same(whole, results)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_write_a_checkpoint_at_once_and_the_next_run_goes_on(checkout, how):
    study = with_axis("steps", steps_in(5)) | {"checkpoint": 1e6}
    process = start(checkout, study, "--cores", "2", "--until", "train")
    # Training catches a signal by which others die.
    wait_for("training", lambda: signal.SIGUSR1 in signals(stages(checkout).get("train", 0), "SigCgt"), 30)
    kill(checkout, process, how)
    assert f"ranktwo: training was stopped by {how.name} at step" in said(checkout)
    assert "Traceback" not in said(checkout)
    assert checkpoints_in(checkout / "results")
    [log] = (checkout / "results" / "logs" / "train").iterdir()
    assert "training was stopped" in log.read_text()
    done = snakemake(checkout, "--until", "train", "--configfile", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "4 of them from a checkpoint" in done.stderr
    assert not checkpoints_in(checkout / "results")


def test_the_docs_say_what_to_type():
    page = (ROOT / "docs" / "reading.md").read_text()
    assert "snakemake --unlock" in page
