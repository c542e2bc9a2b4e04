"""Clean-up lists and deletes what no config asks for, and touches nothing else."""

import contextlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
import yaml
from made_up import jobs_of, write_analyses, write_dataset, write_runs
from support import a_cell

from ranktwo.stages import cleanup as stage
from ranktwo.store import files, records, registry
from ranktwo.study import config, grid, jobs
from ranktwo.study.cleanup import Wanted

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


def by_rule(stack: str) -> list[str]:
    """The logs and benchmarks of a stack's jobs."""
    rules = ("train", "analysis")
    return [f"{kind}/{rule}/{stack}.{end}" for kind, end in (("logs", "log"), ("benchmarks", "tsv")) for rule in rules]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Results of the study, as its jobs leave them, beside files of somebody else."""
    results = tmp_path / "results"
    found = jobs_of(STUDY)
    for name in ("toy", "old"):
        write_dataset(results, name, found[0].options)
    jobs.write_stacks(results, [job.stack for job in found])
    for job in found:
        jobs.write(results, job)
        write_runs(results, job)
        write_analyses(results, job.stack)
        for name in by_rule(job.stack):
            (results / name).parent.mkdir(parents=True, exist_ok=True)
            (results / name).write_text("said")
    (results / "runs" / "mine").mkdir()
    for name in (
        "runs/mine/notes.txt",
        "spectra/mine.parquet",
        "datasets/mine.safetensors",
        "notes.md",
        "logs/gaps.log",
        "jobs/mine.json",
        "logs/train/mine.log",
        "logs/gaps/a_01234567.log",
    ):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_text("mine")
    (results / "figures").mkdir()
    (results / "figures" / "mine.png").write_text("mine")
    return tmp_path


def run(folder: Path, *studies: dict, delete: bool = False) -> str:
    paths = [folder / f"study{number}.yaml" for number in range(len(studies))]
    for path, wanted in zip(paths, studies, strict=True):
        path.write_text(yaml.safe_dump(wanted))
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder), contextlib.redirect_stdout(output):
        patch.setattr(sys, "argv", ["cleanup", *map(str, paths), *["--delete"] * delete])
        stage.main()
    return output.getvalue()


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


def test_minimisers_go_with_their_data_set(folder):
    optima = folder / "results" / "optima"
    table = pyarrow.table({"atoms": [2]})
    for name in ("toy", "old"):
        files.write_parquet(optima / f"{name}.parquet", table, {"provenance": {"stage": "optimum"}})
    (optima / "mine.parquet").write_text("mine")
    assert f"{optima.relative_to(folder) / 'old.parquet'}  (data set)" in run(folder, study(), delete=True)
    assert sorted(path.name for path in optima.iterdir()) == ["mine.parquet", "toy.parquet"]


def test_a_stack_goes_whole_and_the_rest_stays_as_it_is(folder):
    before = content(folder)
    listed = run(folder, study(widths=8))
    assert content(folder) == before
    assert "add --delete" in listed
    assert re.search(r"^unwanted +\d\S* kB  results/datasets/old\.safetensors  \(data set\)$", listed, re.MULTILINE)
    assert re.search(r": \d+ kB in whole files; nothing was changed", listed)
    run(folder, study(widths=8), delete=True)
    after = content(folder)
    gone = [name for name in before if name not in after]
    [stack] = {Path(name).stem for name in gone if name.startswith("results/spectra/")}
    assert "_w6_" in stack
    whole = [f"runs/{stack}/weights.safetensors", f"runs/{stack}/history.parquet", f"jobs/{stack}.json"]
    whole += [f"{name}/{stack}.parquet" for name in registry.entries("analysis")]
    whole += [*by_rule(stack), "datasets/old.safetensors"]
    assert sorted(gone) == sorted(f"results/{name}" for name in whole)
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
        kept = pyarrow.parquet.read_schema(weights.with_name("history.parquet")).remove_metadata()
        whole = pyarrow.parquet.read_schema(folder / "history.parquet").remove_metadata()
        assert kept.equals(whole, check_metadata=True)
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


@pytest.mark.parametrize("delete", [False, True])
def test_studies_of_one_folder_under_several_names_keep_what_any_of_them_asks_for(folder, delete):
    (folder / "link").symlink_to("results")
    (folder / "other").symlink_to(folder, target_is_directory=True)
    before = content(folder)
    names = ["results", "./results/", str(folder / "results"), "link", f"{folder}/other/link", "other/../results"]
    studies = [study(widths=6 if number else 8) | {"results": name} for number, name in enumerate(names)]
    said = run(folder, *studies, delete=delete)
    after = content(folder)
    assert {name for name in before if name not in after} == ({"results/datasets/old.safetensors"} if delete else set())
    assert said.count("kB  ") == 1
    for name in names[1:]:
        said = run(folder, studies[0], studies[0] | {"results": name}, delete=False)
        assert "_w6_" in said
        assert "_w8_" not in said


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
    command = [sys.executable, "-m", "ranktwo", "cleanup", str(path), "--delete"]
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
