"""The plan's counts are those of the study, and nothing that is there is counted as new."""

import re
from dataclasses import replace

import pytest
import torch
from conftest import a_cell, a_dataset
from test_workflow import copy_project, run_study, with_axis

from ranktwo.data import preparation
from ranktwo.data.options import Options
from ranktwo.store import files, provenance, records
from ranktwo.study import jobs, plan
from ranktwo.study.plan import ANALYSIS, START, UNITS, Stack


def a_stack(count: int = 4, **axes: object) -> Stack:

    data = a_dataset("regression", 1, torch.zeros(500, 20), torch.zeros(500, 1), 400)
    cells = [a_cell(seed=seed, **axes) for seed in range(count)]
    return Stack(name="s", cells=cells, new=cells, missing=set(ANALYSIS), data=data, snapshots=5)


@pytest.mark.parametrize(
    ("less", "more", "least", "most"),
    [
        ({}, {"steps": 500_000}, 9.0, 10.1),
        ({}, {"batch_size": 40}, 1.05, 10),
        ({}, {"widths": (600,)}, 1.3, 100),
        ({"widths": (600,)}, {"widths": (600,), "optimizer": "momentum"}, 1.02, 3),
        ({"widths": (600,), "optimizer": "momentum"}, {"widths": (600,), "optimizer": "adamw"}, 1.02, 3),
    ],
)
def test_more_work_takes_more_time(less, more, least, most):
    one, other = (plan.training_seconds(a_stack(**{"steps": 50_000} | axes)) for axes in (less, more))
    assert least < (other - START) / (one - START) < most


def test_stacked_cells_cost_less_each_and_none_costs_nothing():
    alone, together = (
        plan.training_seconds(a_stack(1, steps=100_000)),
        plan.training_seconds(a_stack(30, steps=100_000)),
    )
    assert alone < together < 15 * alone
    assert plan.training_seconds(Stack(**vars(a_stack()) | {"new": []})) == 0


def test_hints_are_given_where_jobs_are_too_short_or_too_long():
    short = plan.report([a_stack(steps=10)] * 30, "cpu")
    assert "more axes in `stack`" in short
    assert "fewer axes in `stack`" in plan.report([a_stack(400, steps=1_000_000_000)], "cpu")
    assert "Hint" not in plan.report([a_stack(steps=10)], "cpu")
    assert "GPU" not in short
    assert "GPU: 1 jobs ask for one each" in plan.report([a_stack()], "auto")


def test_the_gpu_time_of_what_is_new_follows_from_what_cells_took_on_a_gpu_here():
    one, other = (a_stack(10, steps=steps) for steps in (100_000, 300_000))
    assert "is told once a stack has been trained on a GPU here,\nsay s." in plan.gpu_sentence([one])
    core = plan.step_seconds(one, one.cells)
    run = {"device": "NVIDIA X", "seconds": core / 20}
    trained = Stack(**vars(one) | {"new": [], "on_gpu": one.cells, "gpu_runs": [run]})
    said = plan.gpu_sentence([trained, other])
    expected = other.start + plan.step_seconds(other, other.cells) / 20
    assert f"1 jobs ask for one each, {plan._time(expected)} of GPU time in all if it is 20 times" in said
    assert "as NVIDIA X was with the 10 cells trained on it here" in said


@pytest.mark.parametrize(("device", "cells"), [("cpu", 0), ("NVIDIA X", 3)])
def test_what_cells_took_is_read_from_their_files(run_stage, tmp_path, device, cells):
    options = {"source": "iris"}
    here = provenance.circumstances("train", device=device) | {"seconds": 12.5}
    trained = {name: replace(record, identity="x", runs=[here]) for name, record in run_stage.records.items()}
    folder = tmp_path / "runs" / "s"
    folder.mkdir(parents=True)
    records.write_records(folder / "weights.safetensors", folder / "history.parquet", trained, here)
    (tmp_path / "datasets").mkdir()
    prepared = preparation.prepare("toy", Options(**options), tmp_path, False)
    files.write_tensors(tmp_path / "datasets" / "toy.safetensors", *prepared)
    found = plan.read("s", jobs.encode(run_stage.cells, options, snapshots=3), tmp_path)
    assert found.on_gpu == run_stage.cells[:cells]
    assert [run["seconds"] for run in found.gpu_runs] == [12.5] * bool(cells)


def rows(said: str) -> dict[str, tuple[int, float]]:
    """Jobs and bytes on disk of each stage."""
    found = re.findall(r"^(\w+) +(\d+) .* ([\d.]+) (\w?B)$", said, flags=re.MULTILINE)
    units = dict(UNITS)
    return {stage: (int(jobs), float(size) * units[unit]) for stage, jobs, size, unit in found}


def test_the_plan_counts_jobs_cells_and_bytes_of_what_is_new(tmp_path):
    folder = copy_project(tmp_path)
    study = with_axis("widths", [16, 300])
    before = run_study(folder, study, "plan")
    assert "8 cells in 2 stacks; 0 of them are trained, 8 are new." in before.stdout
    planned = rows(before.stdout)
    assert {jobs for jobs, _ in planned.values()} == {2}
    assert run_study(folder, study, "--until", "train").returncode == 0
    written = sum(path.stat().st_size for path in (folder / "results" / "runs").rglob("*.*"))
    assert planned["train"][1] == pytest.approx(written, rel=0.2)

    after = run_study(folder, study, "plan")
    assert "8 of them are trained, 0 are new." in after.stdout
    assert {stage: jobs for stage, (jobs, _) in rows(after.stdout).items()} == {"train": 0} | dict.fromkeys(
        ANALYSIS, 2
    )
    grown = study | {"grids": [study["grids"][0] | {"seed": [0, 1, 2], "widths": 16}]}
    assert "6 cells in 1 stacks; 4 of them are trained, 2 are new." in run_study(folder, grown, "plan").stdout
