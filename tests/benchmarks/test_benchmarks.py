"""The benchmark command measures and writes what it says; how fast anything is, no test asks."""

import json
import os
import subprocess
import sys

import pytest
from support import ROOT, patience


@pytest.mark.slow
def test_the_command_prints_and_writes_its_tables(tmp_path):
    command = [sys.executable, "benchmarks/run.py", "steps", "start", "--rounds", "1", "--batch", "16"]
    command += ["--optimizers", "sgd", "--output", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience(30))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [row["net"] for row in found["results"]["steps"]] == ["784-256-10", "784-256-256-10", "64-128-10", "8-256-1"]
    for row in found["results"]["steps"]:
        assert all(float(row[name].split()[0]) > 0 for name in ("(a), µs", "(b), µs", "(c), µs", "(a)/(c)"))
    assert {"date", "device", "torch"} <= found["machine"].keys()
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.count("\n## ") == 2
    assert all(line in page for line in done.stdout.splitlines() if line.startswith("|"))
