"""What analyses are given, and that one file is enough to add an analysis, a rank rule or a bound."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow
import pytest
from support import ROOT, a_cell

from ranktwo.data import dataset, preparation
from ranktwo.data.labels import targets
from ranktwo.data.options import Options
from ranktwo.errors import UserError
from ranktwo.stages import analysis
from ranktwo.store import files, fingerprints, provenance, registry
from ranktwo.study.axes import Cell
from ranktwo.study.jobs import Job
from ranktwo.training.job import train_stack


def test_an_analysis_has_the_cells_of_its_job_in_its_order(run_analysis):
    wanted = [run_analysis.cells[1], run_analysis.cells[0]]
    first, second, _ = run_analysis.records
    assert run_analysis("truncation", wanted=wanted)["cell"].to_pylist() == [second, first]
    rows = run_analysis("spectra", wanted=wanted)
    per_cell = 2 * 4  # matrices, and snapshots at the steps 0, 1, 7 and 50
    assert rows["cell"].to_pylist() == [second] * per_cell + [first] * per_cell
    assert rows["step"].to_pylist() == [0, 1, 7, 50] * 4


def test_a_cell_that_was_not_trained_is_named(run_analysis):
    with pytest.raises(UserError, match="lacks 1 cells, .*wd0.5.* for one; run snakemake with .--forcerun train"):
        run_analysis("spectra", wanted=[a_cell(weight_decay=0.5)])


def test_training_data_are_those_of_training(run_analysis):
    noise = dataset.training_data(list(run_analysis.records.values())[1].cell, run_analysis.data)[1]
    clean = targets(run_analysis.data.train_y[:80], "multiclass", 3)
    assert (noise != clean).any(1).sum() == 16


def test_tables_that_are_what_they_are_asked_for_are_left_alone(run_analysis):
    folder = run_analysis.folder / "asked"

    def make(**identities: str) -> dict[str, bytes]:
        run_analysis.stage("spectra", "bounds", "--results", "asked", "--identities", json.dumps(identities))
        tables = {name: folder / name / "toy.parquet" for name in identities}
        assert {name: provenance.identity_of(path) for name, path in tables.items()} == identities
        return {name: path.read_bytes() for name, path in tables.items()}

    first = make(spectra="one", bounds="one")
    (folder / "spectra" / "toy.parquet").touch()
    assert make(spectra="one", bounds="one") == first
    second = make(spectra="one", bounds="two")
    assert second["spectra"] == first["spectra"] and second["bounds"] != first["bounds"]
    (folder / "spectra" / "toy.parquet").write_bytes(first["spectra"][:1000])
    third = make(spectra="one", bounds="two")
    assert third["bounds"] == second["bounds"]
    assert files.read_parquet(folder / "spectra" / "toy.parquet", "spectra")[0].num_rows
    # What an input holds counts, not only what was asked for.
    tensors, metadata = files.read_tensors(run_analysis.folder / "dataset")
    files.write_tensors(run_analysis.folder / "dataset", tensors, metadata | {"note": "another file of the same data"})
    fourth = make(spectra="one", bounds="two")
    assert fourth["bounds"] != third["bounds"] and fourth["spectra"] != third["spectra"]


def test_an_analysis_of_an_unknown_name_is_refused_in_a_sentence(run_analysis, capsys):
    with pytest.raises(SystemExit):
        run_analysis.stage("spectre", "--results", "asked")
    assert "spectre is no analysis; analyses are baseline, bounds, " in capsys.readouterr().err


def test_the_marks_say_what_each_analysis_has_rows_of_and_reads_of_the_config():
    found = {name: entry.settings for name, entry in registry.entries("analysis").items()}
    assert {name: facts["rows"] for name, facts in found.items()} == {
        "baseline": "cell",
        "bounds": "cell",
        "certificates": "cell, snapshot and matrix",
        "neural-collapse": "cell, snapshot and matrix",
        "optimality": "cell and snapshot",
        "spectra": "cell, snapshot, and matrix or product",
        "truncation": "cell",
    }
    assert {name: facts["settings"] for name, facts in found.items() if "settings" in facts} == {"bounds": "bounds"}


def test_the_code_that_counts_for_an_analysis_is_its_own():
    own = {
        "spectra": {"spectra", "ranks", "rules.fractions", "rules.noise"},
        "bounds": {"bounds.table", "bounds.register", "bounds.net"}
        | {f"bounds.{name}" for name in ("rates", "counts", "margins", "measures")},
        "truncation": {"truncation"},
        "certificates": {"critical", "optimum.search", "optimum.climb", "updates"}
        | {
            f"certificates.{name}"
            for name in ("table", "chain", "passes", "norms", "batches", "directions", "pairs", "places")
        }
        | {f"certificates.{name}" for name in ("trajectory", "collapse")},
    }
    for name, modules in own.items():
        found = fingerprints.reached("analysis", analysis=name)
        reached = {module.removeprefix("analysis.") for module in found if module.startswith("analysis.")}
        assert reached == modules | {"inputs"}, name
        assert not any(module.startswith(("training", "evidence", "report")) for module in found), name
    chosen = {"net": "convnet", "activation": "gelu", "normalisation": "none"}
    found = fingerprints.reached("analysis", analysis="certificates", **chosen)
    assert found["nets.activations"] == ["gelu"] and found["nets.norms"] == ["none"]
    assert [name for name in found if "architectures" in name] == ["nets.architectures.convnet"]


FILES = {
    "analysis/corners.py": """
import pyarrow
from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.store import columns
from ranktwo.store.columns import REAL, column
from ranktwo.store.records import CELL

COLUMNS = {"corner": column(REAL, "The first entry of V after training.", headline=True)}


def schema():
    return columns.schema({**CELL, **COLUMNS})


@analysis(rows="cell", schema=schema)
def first_corners(inputs: Inputs) -> pyarrow.Table:
    \"\"\"The first entry of V.\"\"\"
    rows = [{"cell": name, "corner": float(record.net(-1)[0][0, 0])} for name, record in inputs.cells("corners")]
    return pyarrow.Table.from_pylist(rows, schema=schema())
""",
    "analysis/rules/half.py": """
from ranktwo.analysis.ranks import above, rule


@rule
def over_half(spectra):
    \"\"\"Number of s_i > s_1/2.\"\"\"
    return above(spectra.s, spectra.s[:, 0] / 2)
""",
    "analysis/bounds/dull.py": """
from ranktwo.analysis.bounds.register import bound


@bound()
def dull_bound(net):
    \"\"\"Nobody 2099: 7.\"\"\"
    return 7
""",
}
LOOK = """
import sys
from pathlib import Path

import torch
from ranktwo.analysis.inputs import Inputs
from ranktwo.store import columns, files, fingerprints, registry
from ranktwo.store.records import Record

for name in ("spectra", "bounds", "certificates", "truncation"):
    print(name, fingerprints.fingerprint("analysis", analysis=name))
if "first-corners" not in registry.entries("analysis"):
    sys.exit()
v = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 3.0]]])
cell = {axis: None for axis in registry.load("analysis", "spectra").__globals__["CELL_COLUMNS"]}
cell |= {"outputs": 1, "decay_rule": "constant"}
inputs = Inputs(stack="it", records={"a": Record(cell=cell, identity="", steps=[0, 9], weights={"V": v})}, data=None)
path, corners = Path(sys.argv[1]), registry.load("analysis", "first-corners")
files.write_parquet(path, corners(inputs), {"provenance": {"stage": "it"}})
print("corner", files.read_parquet(path, "it")[0].to_pylist())
print("rank", registry.load("analysis", "spectra")(inputs)["rank_over_half"].to_pylist())
from ranktwo.analysis.bounds import table
print("kind", columns.kinds(table.schema())["dull_bound"])
"""


@pytest.mark.slow
def test_one_file_adds_an_analysis_a_rank_rule_or_a_bound(tmp_path):
    package = shutil.copytree(ROOT / "src" / "ranktwo", tmp_path / "ranktwo")

    def look() -> dict[str, str]:
        command = [sys.executable, "-c", LOOK, str(tmp_path / "corners.parquet")]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    before = look()
    for name, text in FILES.items():
        (package / name).write_text(f'"""An addition."""\n{text}')
    after = look()
    assert after.pop("corner") == "[{'cell': 'a', 'corner': 4.0}]"
    assert after.pop("rank") == "[None, 2]"
    assert after.pop("kind") == "bound"
    assert {name for name, fingerprint in after.items() if fingerprint != before[name]} == {"spectra", "bounds"}


def test_tables_of_a_stack_of_two_splits_are_those_of_its_splits(tmp_path, monkeypatch):
    options = {"source": "iris"}
    tensors, metadata = preparation.prepare("toy", Options(**options), tmp_path, False, [1])
    for split, own in enumerate(metadata["splits"]):
        own["critical_decay"] = 1.0 + split
    files.write_tensors(tmp_path / "dataset", tensors, metadata | {"provenance": {}})
    cells = [a_cell(split=split, seed=seed, steps=20) for seed in (0, 1) for split in (0, 1)]
    paths = {name: tmp_path / name for name in ("weights", "history")}
    train_stack(Job(stack="toy", options=options, snapshots=2, cells=cells), data=tmp_path / "dataset", **paths)
    names = list(registry.entries("analysis"))

    def tables(stack: str, wanted: list[Cell]) -> dict[str, pyarrow.Table]:
        (tmp_path / "job.json").write_text(Job(stack=stack, options=options, snapshots=2, cells=wanted).text())
        settings = {"bounds": {"percentile": 10, "delta": 0.01}}
        arguments = ["--job=job.json", "--results=results", f"--settings={json.dumps(settings)}"]
        arguments += [f"--{name}={name}" for name in ("dataset", "weights", "history")]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["analysis", *arguments])
        analysis.main()
        return {name: files.read_parquet(tmp_path / "results" / name / f"{stack}.parquet", name)[0] for name in names}

    both = tables("both", cells)
    apart = [tables(f"split{split}", [cell for cell in cells if cell.split == split]) for split in (0, 1)]
    for name in names:
        assert both[name].equals(pyarrow.concat_tables([found[name] for found in apart])), name
    assert set(both["certificates"]["critical_decay"].to_pylist()) - {None} == {1.0, 2.0}
