"""What goes wrong is said in one sentence, nothing is lost, and the next run repairs it."""

import multiprocessing
import os
import re
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest
import yaml
from support import SMALL, gaps, made, make_gaps, patience, run_study, snakemake, trained, with_axis

from ranktwo.store import registry


@pytest.mark.slow
def test_damaged_files_are_said_put_aside_and_made_anew(finished_copy):
    """Truncated, flipped and deleted files in every folder; each run says one sentence a file, and repairs."""
    checkout = finished_copy
    results, first = checkout / "results", gaps(checkout)
    [spectra, history, dataset] = (
        next(results.glob(pattern)) for pattern in ("spectra/*", "runs/*/history.parquet", "datasets/*")
    )
    for path in (spectra, history, dataset, results / "gaps.parquet"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    next(results.glob("bounds/*")).unlink()
    said = ""
    for _ in range(6):
        done = make_gaps(checkout, SMALL, "--keep-going")
        said += done.stderr
        if done.returncode == 0:
            break
    assert done.returncode == 0, said
    assert "Traceback" not in said
    sentences = {line for line in said.splitlines() if line.startswith("ranktwo: ")}
    assert sentences
    assert all("put aside" in line for line in sentences), sentences
    pandas.testing.assert_frame_equal(gaps(checkout), first, check_exact=True)
    # A stage that was not run again has not read what was damaged; nothing that was read is left damaged.
    for path in results.rglob("*.damaged"):
        assert path.with_name(path.name.removesuffix(".damaged")).exists()


def test_a_folder_that_cannot_hold_results_is_one_sentence(checkout):
    done = run_study(checkout, SMALL | {"results": "README.md/results"})
    assert done.returncode != 0
    assert "ranktwo: results is README.md/results, but README.md is a file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.slow
def test_a_full_disk_is_said_in_a_sentence_and_more_space_is_all_it_takes(checkout):
    disk = checkout / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        (checkout / "study.yaml").write_text(yaml.safe_dump(SMALL | {"results": "disk/results"}))
        done = snakemake(checkout, "disk/results/gaps.parquet", "--configfile", "study.yaml")
        assert done.returncode != 0
        assert "ranktwo: cannot write disk/results" in done.stderr
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(disk.rglob("*.tmp*"))
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        assert sum(trained(snakemake(checkout, "disk/results/gaps.parquet", "--configfile", "study.yaml"))) <= 4
        assert len(pandas.read_parquet(disk / "results" / "gaps.parquet")) == 4
    finally:
        # Lazily: the thread pool of pyarrow may hold the file that was just read for a moment more.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def said_by(arguments: list[str], folder: Path) -> tuple[str, int | None]:
    """What a command prints and its exit status. A fork of this process has imported already what commands import."""
    said = folder / "said"

    def command() -> None:
        with said.open("w") as log:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            sys.stdout = sys.stderr = log
            os.chdir(folder)
            sys.argv = ["ranktwo", *arguments]
            try:
                runpy.run_module("ranktwo", run_name="__main__")
            except Exception:
                traceback.print_exc()
                raise

    process = multiprocessing.get_context("fork").Process(target=command)
    process.start()
    process.join(patience(6))
    assert process.exitcode is not None, arguments
    return said.read_text(), process.exitcode


@pytest.mark.parametrize("stage", registry.stages())
def test_no_command_answers_bad_arguments_with_a_traceback(stage, tmp_path):
    (tmp_path / "junk").write_bytes(b"PAR1 junk")
    usage, _ = said_by([stage, "--help"], tmp_path)
    options = [
        name
        for name in re.findall(r"^  (--[\w-]+)[ ,]", usage, re.MULTILINE)
        if name not in ("--help", "--no-download")
    ]
    positional = ["junk"] if re.search(r"^  (config|file|name)", usage, re.MULTILINE) else []
    assert "usage: " in usage
    for value in ("junk", "{}"):
        said, code = said_by([stage, *positional, *(word for name in options for word in (name, value))], tmp_path)
        assert "Traceback" not in said, said
        if code == 0:
            break  # a command without arguments


BAD_CONFIGS = {
    "grids[0].weigth_decay is not a known key": with_axis("weigth_decay", 0.1),
    "grids[0].steps is 'many'": with_axis("steps", "many"),
    "grids[0].dataset is 'digits-3v9'": with_axis("dataset", "digits-3v9"),
    "10,000,000,000 cells": SMALL
    | {
        "grids": [
            SMALL["grids"][0]
            | {axis: list(range(1, 101)) for axis in ("seed", "steps", "learning_rate", "weight_decay", "batch_size")}
        ]
    },
}


@pytest.mark.parametrize("sentence", BAD_CONFIGS)
def test_a_bad_config_ends_in_one_sentence_and_leaves_nothing(checkout, sentence):
    done = run_study(checkout, BAD_CONFIGS[sentence])
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ranktwo: study.yaml: ")
    assert sentence in lines[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert made(checkout / "results") == []


@pytest.mark.slow
def test_a_shell_that_has_python_drop_docstrings_changes_nothing(checkout):
    done = run_study(checkout, SMALL, "results/gaps.parquet", PYTHONOPTIMIZE="2")
    assert done.returncode == 0, done.stderr
    schema = pyarrow.parquet.read_schema(checkout / "results" / "gaps.parquet")
    assert all((field.metadata or {}).get(b"description") for field in schema)


@pytest.mark.slow
def test_absent_data_end_in_a_sentence_that_says_what_to_do(checkout):
    study = SMALL | {"datasets": {"digits-3v8": {"source": "mnist", "classes": [3, 8]}}, "data_folder": "nowhere"}
    done = run_study(checkout, study)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("ranktwo: ")]
    assert len(said) == 1
    assert "nowhere/MNIST/raw/train-images-idx3-ubyte" in said[0]
    assert "download" in said[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert not list((checkout / "results").rglob("*.safetensors*"))
