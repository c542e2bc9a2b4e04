"""Clean-up lists and deletes what no config asks for, and touches nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from conftest import a_cell

from ranktwo.data import dataset, preparation
from ranktwo.data.options import Options
from ranktwo.progress import Progress
from ranktwo.store import files, provenance, records
from ranktwo.store.records import HISTORY
from ranktwo.study import config, grid
from ranktwo.study.cleanup import ANALYSES, Wanted
from ranktwo.training import recording


STUDY = {
    "datasets": {"toy": {"source": "iris"}},
    "grids": [
        {
            "dataset": "toy",
            "widths": [6, 8],
            "learning_rate": 0.05,
            "batch_size": 4,
            "weight_decay": [0.0, 0.1],
            "steps": 20,
            "seed": [0, 1],
        }
    ],
}


def study(**axes: object) -> dict:
    return STUDY | {"grids": [STUDY["grids"][0] | axes]}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Results of the study, made as its jobs make them, beside files of somebody else."""
    results = tmp_path / "results"
    prepared = preparation.prepare("toy", Options(source="iris"), tmp_path, False)
    for name in ("toy", "old"):
        tensors, metadata = prepared
        files.write_tensors(results / "datasets" / f"{name}.safetensors", tensors, metadata | origin("datasets"))
    data = dataset.load(results / "datasets" / "toy.safetensors")
    read = config.read(STUDY, "test")
    for stack, cells in grid.stacks(grid.expand(read["grids"]), read["stack"], read["datasets"]).items():
        wanted = {grid.cell_name(cell, read["datasets"]["toy"]): cell for cell in cells}
        bar = Progress(stack, 20 * len(cells), "cell-steps")
        found = recording.train(wanted, data, snapshots=3, device="cpu", progress=bar)
        at = results / "runs" / stack
        records.write_records(at / "weights.safetensors", at / "history.parquet", found, origin("train")["provenance"])
        for stage in ANALYSES:
            files.write_parquet(results / stage / f"{stack}.parquet", HISTORY.empty_table(), origin(stage))
        for path in (results / "logs" / "train" / f"{stack}.log", results / "benchmarks" / "train" / f"{stack}.tsv"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("said")
    (results / "runs" / "mine").mkdir()
    for name in (
        "runs/mine/notes.txt",
        "spectra/mine.parquet",
        "datasets/mine.safetensors",
        "notes.md",
        "logs/gaps.log",
    ):
        (results / name).write_text("mine")
    (results / "figures").mkdir()
    (results / "figures" / "mine.png").write_text("mine")
    return tmp_path


def origin(stage: str) -> dict:
    return {"provenance": provenance.circumstances(stage)}


def run(folder: Path, *studies: dict, delete: bool = False) -> str:
    paths = [folder / f"study{number}.yaml" for number in range(len(studies))]
    for path, wanted in zip(paths, studies, strict=True):
        path.write_text(yaml.safe_dump(wanted))
    command = [sys.executable, "-m", "ranktwo.cleanup", *map(str, paths), *(["--delete"] if delete else [])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    paths = (path for path in (folder / "results").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_what_a_study_asks_for_is_not_listed(folder):
    before = content(folder)
    said = run(folder, study(), delete=True)
    after = content(folder)
    assert {name for name in before if name not in after} == {"results/datasets/old.safetensors"}
    assert all(after[name] == before[name] for name in after)
    assert "old.safetensors" in said
    assert "nothing that the configs do not ask for" in run(folder, study(), delete=True)


def test_a_stack_goes_whole_and_the_rest_stays_as_it_is(folder):
    before = content(folder)
    listed = run(folder, study(widths=8))
    assert content(folder) == before
    assert "add --delete" in listed
    run(folder, study(widths=8), delete=True)
    after = content(folder)
    gone = [name for name in before if name not in after]
    [stack] = {Path(name).stem for name in gone if name.startswith("results/spectra/")}
    assert "_w6_" in stack
    assert all(stack in name or name == "results/datasets/old.safetensors" for name in gone)
    assert len(gone) == 1 + 2 + len(ANALYSES) + 2
    assert all(after[name] == before[name] for name in after)
    for name in gone:
        assert name in listed
    assert not list((folder / "results" / "runs").glob("*_w6_*"))


def test_cells_within_a_stack_go_and_the_others_keep_their_bits_and_dates(folder):
    before = content(folder)
    assert "2 cells in" in run(folder, study(weight_decay=0.1), delete=True)
    after = content(folder)
    for weights in (folder / "results" / "runs").glob("*/weights.safetensors"):
        shutil.copytree(weights.parent, folder / "now" / weights.parent.name)
        name = f"results/runs/{weights.parent.name}"
        left = records.read_records(weights, weights.with_name("history.parquet"))
        assert {record.cell["weight_decay"] for record in left.values()} == {0.1}
        for file in ("weights.safetensors", "history.parquet"):
            assert before[f"{name}/{file}"][1] == after[f"{name}/{file}"][1]
            (folder / file).write_bytes(before[f"{name}/{file}"][0])
        old = records.read_records(folder / "weights.safetensors", folder / "history.parquet")
        for cell, record in left.items():
            assert record.history == old[cell].history
            assert record.runs == old[cell].runs
            assert all(torch.equal(w, old[cell].weights[matrix]) for matrix, w in record.weights.items())
    assert "nothing that the configs" in run(folder, study(weight_decay=0.1), delete=True)


def test_several_studies_of_one_folder_keep_what_any_of_them_asks_for(folder):
    before = content(folder)
    run(folder, study(widths=8), study(widths=6), delete=True)
    assert {name for name in before if name not in content(folder)} == {"results/datasets/old.safetensors"}
    run(folder, study(widths=8), study(widths=6) | {"results": "other"}, delete=True)
    assert not list((folder / "results" / "spectra").glob("*_w6_*"))


def test_what_killed_jobs_and_damage_left_is_listed(folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    spectra = folder / "results" / "spectra"
    host = files.platform.node()
    (spectra / f".x.{host}-{dead.pid}.abc.tmp.parquet").write_text("")
    (spectra / "x.parquet.damaged").write_text("")
    said = run(folder, study(), delete=True)
    assert "left by a killed job" in said
    assert "put aside as damaged" in said
    assert not list(spectra.glob(".x.*"))


def test_a_bad_config_deletes_nothing(folder):
    before = content(folder)
    path = folder / "bad.yaml"
    path.write_text("datasets: {}")
    command = [sys.executable, "-m", "ranktwo.cleanup", str(path), "--delete"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"ranktwo: {path}: ")
    assert content(folder) == before


def test_cells_are_those_of_the_grid():
    wanted = Wanted()
    wanted.add(config.read(study(), "test"))
    assert sum(map(len, wanted.stacks.values())) == 8
    cell = a_cell(widths=(8,), weight_decay=0.0, steps=20, seed=1)
    options = config.read(STUDY, "test")["datasets"]["toy"]
    assert any(grid.cell_name(cell, options) in names for names in wanted.stacks.values())
