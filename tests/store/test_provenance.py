"""Where a result comes from is written into it; columns are documented as they are."""

import re
import shutil
import subprocess
import sys

import pyarrow
import pytest
from support import ROOT, environment

from ranktwo.store import columns, files, provenance


def test_a_result_says_what_it_was_made_with():
    found = provenance.circumstances("gaps")
    assert {"torch", "numpy", "pyarrow", "python"} <= set(found["versions"])
    assert found["device"] == "cpu"
    assert found["stage"] == "gaps"
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])
    assert (found["commit"] is None) == (found["dirty"] is None)


def test_an_analysis_counts_as_a_stage_of_its_own():
    found = provenance.circumstances("analysis", analysis="spectra")
    assert found["stage"] == "spectra"
    assert list(found["code"]) == ["spectra"]


SHOW = (
    "from ranktwo.store import provenance as p; found = p.circumstances('gaps'); print(found['commit'], found['dirty'])"
)


def test_a_copy_inside_another_repository_names_no_commit(tmp_path):
    """An unpacked archive lies in somebody's repository: that one's commit says nothing of this code."""
    shutil.copytree(ROOT / "src", tmp_path / "paper" / "ranktwo" / "src", ignore=shutil.ignore_patterns("__pycache__"))
    run = {"cwd": tmp_path / "paper", "check": True, "capture_output": True, "text": True}
    subprocess.run(["git", "init", "-q"], **run)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "paper"], **run)
    source = {"PYTHONPATH": str(tmp_path / "paper" / "ranktwo" / "src")}
    shown = subprocess.run([sys.executable, "-c", SHOW], env=environment(**source), **run).stdout
    assert shown.split() == ["None", "None"]


def test_an_unknown_commit_makes_no_claim_on_changes(tmp_path):
    origin = provenance.circumstances("gaps") | {"commit": None, "dirty": None}
    files.write_parquet(tmp_path / "t.parquet", pyarrow.table({"x": [1]}), {"provenance": origin})
    [line] = [line for line in provenance.described(tmp_path / "t.parquet").splitlines() if "commit " in line]
    assert line.split() == ["commit", "unknown"]


@pytest.mark.parametrize("page", ["columns", "config"])
def test_reference_pages_say_what_the_code_says(page):
    command = [sys.executable, "-m", "ranktwo", "reference", page]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / f"{page}.md").read_text().endswith(shown), f"put the output of {command[1:]} into it"


def test_columns_carry_their_declaration():
    declared = columns.column(columns.REAL, "Frobenius norm.", unit="sd", headline=True, kind="rank")
    schema = columns.schema({"norm": declared, "other": columns.column(columns.TEXT, "Text.")})
    assert schema.field("norm").metadata == {
        b"description": b"Frobenius norm.", b"unit": b"sd", b"headline": b"yes", b"kind": b"rank"
    }  # fmt: skip
    assert [field.name for field in columns.headlines(schema)] == ["norm"]
    assert columns.kinds(schema) == {"norm": "rank"}
