"""docs/own.md: its commands and its config do what the page says."""

import os
import re
import subprocess
import sys

import numpy
import pandas
import pytest
import safetensors.numpy
import yaml
from support import ROOT, SMALL, copy_project, environment, gaps, make_gaps, planned, run_study, trained

import ranktwo
from ranktwo.store.files import read_metadata

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The page's blocks in a language, in their order."""
    return [block for kind, block in BLOCK.findall((ROOT / "docs" / "own.md").read_text()) if kind == language]


@pytest.mark.slow
def test_the_pages_command_measures_weights_and_prints_what_the_page_shows(tmp_path):
    for command in blocks("bash")[-1].splitlines():
        environ = environment(PYTHONPATH=str(ROOT / "src"))
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    [shown] = blocks("text")
    # Up to the rule below the headings, whose width depends on the numbers' digits.
    assert heading(done.stdout) == heading(shown) != []
    assert [line.split()[:2] for line in done.stdout.splitlines()[-2:]] == [
        line.split()[:2] for line in shown.splitlines()[-2:]
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"net.pt", "measured.parquet", "measured.csv", "spectrum.png"}


def heading(text: str) -> list[list[str]]:
    """The words of a table's headings and of what stands above, line by line."""
    lines = text.splitlines()
    return [line.split() for line in lines[: next(number for number, line in enumerate(lines) if "---" in line)]]


def test_the_pages_python_prints_numbers(capsys):
    [code] = blocks("python")
    exec(code, {})
    stable, residual, energy = map(float, capsys.readouterr().out.split())
    assert 1 < stable < 10 and 0 < residual < 1 and energy == 10


@pytest.mark.slow
def test_the_pages_study_of_a_file_runs_and_follows_the_file(tmp_path):
    folder = copy_project(tmp_path)
    [study] = map(yaml.safe_load, blocks("yaml"))
    study["grids"][0] |= {"steps": 20, "split": [0, 1]}
    study |= {"results": "results", "optima": {"points": 0}}
    done = make_gaps(folder, study)
    assert done.returncode != 0 and re.search("Missing input files.*\n.*\n.*\n.*\n *patients.csv", done.stderr)

    subprocess.run(["bash", "-c", blocks("bash")[0]], cwd=folder, env=environment(), check=True)
    assert trained(make_gaps(folder, study)) == [8]
    first = gaps(folder)
    assert set(first["dataset"]) == {"patients"} and first["train_loss"].notna().all()
    assert planned(make_gaps(folder, study, "-n")) == {}

    # An older file in its place: the content counts, not the date.
    path = folder / "patients.csv"
    frame = pandas.read_csv(path)
    (frame.assign(bmi=0.0)).to_csv(path, index=False)
    subprocess.run(["touch", "-d", "2020-01-01", path], check=True)
    assert "dataset" in planned(make_gaps(folder, study, "-n"))
    assert trained(make_gaps(folder, study)) == [8]
    assert (gaps(folder)["train_loss"] != first["train_loss"]).all()
    inputs = read_metadata(folder / "results" / "datasets" / "patients.safetensors")["provenance"]["inputs"]
    assert list(inputs) == ["patients.csv"]


@pytest.mark.slow
def test_weights_trained_elsewhere_are_measured_by_a_study_and_drawn_beside_its_nets(finished_copy):
    checkout = finished_copy
    files = {"lab-one": checkout / "one.safetensors", "lab-two": checkout / "two.npz"}
    matrix = numpy.random.default_rng(0).normal(size=(9, 6)).astype("float32")
    safetensors.numpy.save_file({"fc.weight": matrix, "fc.bias": matrix[0]}, files["lab-one"])
    numpy.savez(files["lab-two"], a=matrix, b=matrix[:, :3])
    weights = {name: {"path": path.name} for name, path in files.items()}
    target = "results/figures/weights.csv"
    study = SMALL | {"weights": weights, "figures": dict.fromkeys(["weights", "spectrum"])}
    done = run_study(checkout, study, target)
    assert done.returncode == 0, done.stderr
    assert "tensor" not in done.stdout  # the table of `measure` is for its own command
    found = pandas.read_parquet(checkout / "results" / "weights" / "lab-two.parquet").set_index("tensor")
    assert found.loc["b", "effective_rank"] == ranktwo.measure(matrix[:, :3])["effective_rank"]
    drawn = pandas.read_csv(checkout / target)
    named = set(drawn["series"])
    assert {"lab-one, fc.weight", "lab-two, a", "lab-two, b"} <= named
    assert any(name.startswith("V of the study") for name in named)
    [point] = drawn[(drawn["series"] == "lab-two, b") & (drawn["panel"] == 2)].to_dict("records")
    assert point["x"] == pytest.approx(found.loc["b", "effective_rank"])
    assert point["y"] == pytest.approx(found.loc["b", "residual_2"])
    assert planned(run_study(checkout, study, "-n", target)) == {}

    # An older file in the place of one: its content counts, and nothing else is made again.
    numpy.savez(files["lab-two"], a=matrix, b=matrix[:, :2])
    os.utime(files["lab-two"], (0, 0))
    assert planned(run_study(checkout, study, "-n", target)) == {"measure": 1, "figure": 1}

    files["lab-two"].write_bytes(b"no weights")
    done = run_study(checkout, study, target)
    sentences = [line for line in done.stderr.splitlines() if line.startswith("ranktwo: ")]
    assert sentences == ["ranktwo: two.npz is damaged or is not a .npz file of weights; write it anew"]
    assert "Traceback" not in done.stderr
    # Without files of weights there is no such figure, and what there was is listed to be cleaned up.
    assert planned(run_study(checkout, SMALL | {"figures": study["figures"]}, "-n")).get("measure") is None
    listed = subprocess.run(
        [sys.executable, "-m", "ranktwo", "cleanup", "study.yaml"],
        cwd=checkout,
        env=environment(PYTHONPATH=str(checkout / "src")),
        capture_output=True,
        text=True,
    )
    assert "results/weights/lab-one.parquet  (weights)" in listed.stdout
