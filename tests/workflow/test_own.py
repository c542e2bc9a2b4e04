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
def test_the_pages_study_of_a_file_runs_and_follows_the_file(tmp_path):
    folder = copy_project(tmp_path)
    [study] = map(yaml.safe_load, blocks("yaml"))
    study["grids"][0] |= {"steps": 20}
    study |= {"results": "results", "optima": {"points": 0}}
    done = make_gaps(folder, study)
    assert done.returncode != 0 and re.search("Missing input files.*\n.*\n.*\n.*\n *patients.csv", done.stderr)

    subprocess.run(["bash", "-c", blocks("bash")[0]], cwd=folder, env=environment(), check=True)
    assert trained(make_gaps(folder, study)) == [12]
    first = gaps(folder)
    assert set(first["dataset"]) == {"patients"} and first["train_loss"].notna().all()
    assert planned(make_gaps(folder, study, "-n")) == {}

    # An older file in its place: the content counts, not the date.
    path = folder / "patients.csv"
    frame = pandas.read_csv(path)
    (frame.assign(bmi=0.0)).to_csv(path, index=False)
    subprocess.run(["touch", "-d", "2020-01-01", path], check=True)
    assert "dataset" in planned(make_gaps(folder, study, "-n"))
    assert trained(make_gaps(folder, study)) == [12]
    assert (gaps(folder)["train_loss"] != first["train_loss"]).all()
    inputs = read_metadata(folder / "results" / "datasets" / "patients.safetensors")["provenance"]["inputs"]
    assert list(inputs) == ["patients.csv"]
