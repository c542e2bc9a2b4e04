"""The real Snakemake, killed again and again: what the docs say to type gives what an undisturbed run would give."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
import yaml
from support import ROOT, SMALL, environment, run_study, snakemake, trained

from ranktwo.store import files

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="what runs is read from /proc, which only Linux has")
KILLS = [
    *["dataset"] * 2,
    *["train"] * 10,
    *["spectra", "certificates", "bounds", "truncation"],
    *["gaps"] * 2,
    *["verdicts", "predictors", "figure", "table"],
    *["spectra", "figure", "predictors"],
]
"""Stages in which a run is killed, in this order; a stage that was done before is forced to run again."""
ANALYSES = ("spectra", "certificates", "bounds", "truncation")
"""Stages that are made by the rule `analysis`."""


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Snakemake in a process group of its own, as a shell starts it."""
    command = ["snakemake", "--cores", "2", *arguments, "--configfile", "study.yaml"]
    with open(folder / "said.txt", "w") as said:
        return subprocess.Popen(command, cwd=folder, env=environment(), stdout=said, stderr=said, process_group=0)


def jobs(folder: Path) -> set[str]:
    """Stages that run now in a folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.joinpath("cwd").readlink() == folder:
                words = process.joinpath("cmdline").read_bytes().split(b"\0")
                if b"ranktwo" in words:
                    stage, what = [word.decode() for word in [*words, b"", b""][words.index(b"ranktwo") + 1 :][:2]]
                    found.add(what if stage == "analysis" else stage)
    return found


def run_until(folder: Path, stage: str) -> subprocess.Popen:
    """Snakemake on its way, with a job of this stage at work; a stage that is done is forced to run again."""
    force: list[str] = []
    while True:
        process = start(folder, *force)
        while stage not in jobs(folder) and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is None:
            return process
        assert process.returncode == 0, (folder / "said.txt").read_text()
        force = ["--forcerun", "analysis" if stage in ANALYSES else stage]


def kill(folder: Path, process: subprocess.Popen, how: signal.Signals) -> None:
    os.killpg(process.pid, how)
    process.wait(timeout=60)
    while jobs(folder):
        time.sleep(0.02)


def content(results: Path) -> dict[str, object]:
    """What counts of every result file but logs: numbers without times, text and pictures byte for byte."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        # The page of the study says when each file was made.
        if path.is_dir() or name.startswith(("logs/", "benchmarks/")) or name == "study.html":
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


def test_25_kills_at_random_moments_of_all_stages_lose_nothing(checkout):
    axes = {"weight_decay": [0, 0.3], "steps": 160_000, "learning_rate": 0.05, "optimizer": "momentum"}
    study = SMALL | {"grids": [SMALL["grids"][0] | axes], "checkpoint": 0.2}
    assert trained(run_study(checkout, study)) == [4]
    results, whole = checkout / "results", checkout / "whole"
    results.rename(whole)
    shutil.rmtree(checkout / ".snakemake")

    assert len(KILLS) == 25
    chance, resumed = random.Random(0), 0
    for number, stage in enumerate(KILLS):
        process = run_until(checkout, stage)
        # Some trainings are killed before their first checkpoint and some after it, however slow the machine is.
        while stage == "train" and number % 2 and process.poll() is None:
            if any(results.rglob("checkpoint*.safetensors")):
                break
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 2.5))
        kill(checkout, process, signal.SIGKILL)
        said = (checkout / "said.txt").read_text()
        assert "Traceback" not in said
        resumed += "from a checkpoint" in said
        # What docs/reading.md says to type.
        assert snakemake(checkout, "--unlock", "--configfile", "study.yaml").returncode == 0
    done = snakemake(checkout, "--configfile", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert resumed
    check_same(whole, results)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_write_a_checkpoint_at_once_and_the_next_run_goes_on(checkout, how):
    study = SMALL | {"grids": [SMALL["grids"][0] | {"steps": 800_000}], "checkpoint": 1e6}
    (checkout / "study.yaml").write_text(yaml.safe_dump(study))
    process = start(checkout, "results/gaps.parquet")
    while "train" not in jobs(checkout) and process.poll() is None:
        time.sleep(0.02)
    while not list((checkout / "results" / "runs").glob("*/lock")) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(1)
    kill(checkout, process, how)
    said = (checkout / "said.txt").read_text()
    assert f"ranktwo: training was stopped by {how.name} at step" in said
    assert "Traceback" not in said
    assert list((checkout / "results" / "runs").glob("*/checkpoint*.safetensors"))
    [log] = (checkout / "results" / "logs" / "train").iterdir()
    assert "training was stopped" in log.read_text()
    done = snakemake(checkout, "results/gaps.parquet", "--configfile", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "4 of them from a checkpoint" in done.stderr
    assert not list((checkout / "results" / "runs").glob("*/checkpoint*.safetensors"))


def test_the_docs_say_what_to_type():
    page = (ROOT / "docs" / "reading.md").read_text()
    assert "snakemake --unlock" in page
