"""docs/own.md: its commands and its config do what the page says."""

import re
import subprocess

import pandas
import pytest
import yaml
from support import ROOT, copy_project, environment, gaps, make_gaps, planned, trained

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
    study["grids"][0] |= {"steps": 20}
    study |= {"results": "results", "optima": {"points": 0}}
    done = make_gaps(folder, study)
    assert done.returncode != 0 and re.search("Missing input files.*\n.*\n.*\n.*\n *patients.csv", done.stderr)

    subprocess.run(["bash", "-c", blocks("bash")[0]], cwd=folder, env=environment(), check=True)
    assert trained(make_gaps(folder, study)) == [20]
    first = gaps(folder)
    assert set(first["dataset"]) == {"patients"} and first["train_loss"].notna().all()
    assert planned(make_gaps(folder, study, "-n")) == {}

    # An older file in its place: the content counts, not the date.
    path = folder / "patients.csv"
    frame = pandas.read_csv(path)
    (frame.assign(bmi=0.0)).to_csv(path, index=False)
    subprocess.run(["touch", "-d", "2020-01-01", path], check=True)
    assert "dataset" in planned(make_gaps(folder, study, "-n"))
    assert trained(make_gaps(folder, study)) == [20]
    assert (gaps(folder)["train_loss"] != first["train_loss"]).all()
    inputs = read_metadata(folder / "results" / "datasets" / "patients.safetensors")["provenance"]["inputs"]
    assert list(inputs) == ["patients.csv"]
