"""The plan's counts are those of the study, nothing that is there is counted as new, and no data are needed."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import SIZES, jobs_of, write_analyses, write_dataset, write_runs
from support import ROOT, a_cell

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.store.registry import Entry
from ranktwo.study import config, costs, jobs, plan
from ranktwo.study.costs import ANALYSIS, START, DataSize, Stack
from ranktwo.study.jobs import Job
from ranktwo.study.plan import UNITS

DATA = DataSize(inputs=20, outputs=1, train_size=400, test_size=100)
GRID = {
    "dataset": ["toy", "other"],
    "widths": 16,
    "learning_rate": 0.1,
    "batch_size": 16,
    "weight_decay": [0, 0.3],
    "steps": 200,
    "seed": [0, 1],
}
OPTIMA = {"points": 8, "largest": 2_000_000, "splits": 1}
STUDY = {
    "datasets": {"toy": {"source": "iris"}, "other": {"source": "wine", "bias": True}},
    "grids": [GRID],
    "snapshots": 4,
}


def a_stack(count: int = 4, **axes: object) -> Stack:
    cells = [a_cell(seed=seed, **axes) for seed in range(count)]
    return Stack(name="s", cells=cells, new=cells, missing=set(ANALYSIS), data=DATA, snapshots=5, kept=5)


@pytest.mark.parametrize(
    ("less", "more", "least", "most"),
    [
        ({}, {"steps": 500_000}, 9.0, 10.1),
        ({}, {"batch_size": 40}, 1.05, 10),
        ({}, {"widths": (600,)}, 1.3, 100),
        ({"widths": (600,)}, {"widths": (600,), "optimizer": "momentum"}, 1.02, 3),
        ({"widths": (600,), "optimizer": "momentum"}, {"widths": (600,), "optimizer": "adamw"}, 1.02, 3),
        ({}, {"activation": "gelu"}, 5, 200),
        ({"normalisation": "layer"}, {"normalisation": "layer", "widths": (16, 16)}, 1.3, 3),
    ],
)
def test_more_work_takes_more_time(less, more, least, most):
    one, other = (costs.training_seconds(a_stack(**{"steps": 50_000} | axes)) for axes in (less, more))
    assert least < (other - START) / (one - START) < most


def test_stacked_cells_cost_less_each_and_none_costs_nothing():
    alone, together = (
        costs.training_seconds(a_stack(1, steps=100_000)),
        costs.training_seconds(a_stack(30, steps=100_000)),
    )
    assert alone < together < 15 * alone
    assert costs.training_seconds(Stack(**vars(a_stack()) | {"new": []})) == 0


def test_hints_are_given_where_jobs_are_too_short_or_too_long():
    short = plan.report([a_stack(steps=10)] * 30, "cpu", [])
    assert "more axes in `stack`" in short
    assert "fewer axes in `stack`" in plan.report([a_stack(400, steps=1_000_000_000)], "cpu", [])
    assert "Hint" not in plan.report([a_stack(steps=10)], "cpu", [])
    assert "GPU" not in short
    assert "GPU: 1 jobs ask for one each" in plan.report([a_stack()], "auto", [])


def test_the_gpu_time_of_what_is_new_follows_from_what_cells_took_on_a_gpu_here():
    one, other = (a_stack(10, steps=steps) for steps in (100_000, 300_000))
    assert "is told once a stack has been trained on a GPU here,\nsay s." in plan.gpu_sentence([one])
    core = costs.step_seconds(one, one.cells)
    run = {"device": "NVIDIA X", "seconds": core / 20}
    trained = Stack(**vars(one) | {"new": [], "on_gpu": one.cells, "gpu_runs": [run]})
    said = plan.gpu_sentence([trained, other])
    expected = other.start + costs.step_seconds(other, other.cells) / 20
    assert f"1 jobs ask for one each, {plan._time(expected)} of GPU time in all if it is 20 times" in said
    assert "as NVIDIA X was with the 10 cells trained on it here" in said


def made(results: Path, study: dict) -> list[Job]:
    """The jobs of a study, whose files are written."""
    found = jobs_of(study)
    for job in found:
        jobs.write(results, job)
    return found


def planned(results: Path, found: list[Job]) -> str:
    return plan.plan(results, [job.stack for job in found], "cpu", OPTIMA)


@pytest.mark.parametrize(("device", "cells"), [("cpu", 0), ("NVIDIA X", 4)])
def test_what_cells_took_is_read_from_their_files(tmp_path, device, cells):
    [job, _] = made(tmp_path, STUDY)
    write_dataset(tmp_path, "toy", job.options)
    write_runs(tmp_path, job, device=device)
    found = plan.read(job, tmp_path)
    assert found.new == []
    assert found.on_gpu == job.cells[:cells]
    assert [run["seconds"] for run in found.gpu_runs] == [12.5] * bool(cells)


def rows(said: str) -> dict[str, tuple[int, float]]:
    """Jobs and bytes on disk of each stage."""
    found = re.findall(r"^(\w+) +(\d+) .* ([\d.]+) (\w?B)$", said, flags=re.MULTILINE)
    units = dict(UNITS)
    return {stage: (int(jobs), float(size) * units[unit]) for stage, jobs, size, unit in found}


def test_the_plan_counts_jobs_and_cells_of_what_is_new(tmp_path):
    [one, other] = found = made(tmp_path, STUDY)
    before = planned(tmp_path, found)
    assert "8 cells in 2 stacks; 0 of them are trained, 8 are new." in before
    assert {stage: count for stage, (count, _) in rows(before).items()} == dict.fromkeys(
        ["train", *ANALYSIS, "optimum"], 2
    )

    for job in found:
        write_dataset(tmp_path, job.cells[0].dataset, job.options)
        write_runs(tmp_path, job)
    after = planned(tmp_path, found)
    assert "8 cells in 2 stacks; 8 of them are trained, 0 are new." in after
    assert {stage: count for stage, (count, _) in rows(after).items()} == {
        "train": 0,
        **dict.fromkeys([*ANALYSIS, "optimum"], 2),
    }

    write_analyses(tmp_path, one.stack)
    (tmp_path / "optima").mkdir()
    (tmp_path / "optima" / f"{one.cells[0].dataset}.parquet").touch()
    write_runs(tmp_path, other, cells=other.cells[1:])
    partly = planned(tmp_path, found)
    assert "8 cells in 2 stacks; 7 of them are trained, 1 are new." in partly
    assert {count for count, _ in rows(partly).values()} == {1}


def test_a_cell_is_known_by_the_checksum_of_its_split(tmp_path):
    [job, *_] = made(tmp_path, STUDY | {"grids": [GRID | {"split": [0, 1]}]})
    write_dataset(tmp_path, job.cells[0].dataset, job.options)
    write_runs(tmp_path, job)
    assert {cell.split for cell in job.cells} == {0, 1}
    assert plan.read(job, tmp_path).new == []


def test_the_plan_of_what_is_new_is_about_as_large_as_what_is_written(tmp_path):
    [job, _] = found = made(tmp_path, STUDY | {"grids": [GRID | {"widths": 300, "seed": list(range(9))}]})
    for each in found:
        write_dataset(tmp_path, each.cells[0].dataset, each.options)
    stack = plan.read(job, tmp_path)
    write_runs(tmp_path, job)
    written = sum(path.stat().st_size for path in (tmp_path / "runs").rglob("*.*"))
    assert costs.bytes_written("train", stack) == pytest.approx(written, rel=0.2)


def test_cells_without_the_weights_that_are_to_be_kept_are_new(tmp_path):
    [job, _] = made(tmp_path, STUDY)
    write_dataset(tmp_path, "toy", job.options)
    few = replace(job, keep="last")
    write_runs(tmp_path, few)
    assert plan.read(few, tmp_path).new == []
    assert plan.read(job, tmp_path).new == list(job.cells)


@pytest.mark.parametrize("change", ["options", "checksum", "snapshots", "weights", "history", "other weights"])
def test_what_other_numbers_come_from_is_new(tmp_path, change):
    [job, _] = made(tmp_path, STUDY)
    options = job.options | {"clip": 3} if change == "options" else job.options
    write_dataset(tmp_path, "toy", options, checksum="other" if change == "checksum" else "c0ffee")
    write_runs(tmp_path, job)
    if change == "other weights":
        [history] = tmp_path.rglob("history.parquet")
        kept = history.read_bytes()
        write_runs(tmp_path, replace(job, snapshots=5))
        history.write_bytes(kept)
    if change == "snapshots":
        job = replace(job, snapshots=5)
    if change in ("weights", "history"):
        [path] = (tmp_path / "runs" / job.stack).glob(f"{change}.*")
        path.write_bytes(path.read_bytes()[:100])
    files = sorted(tmp_path.rglob("*"))
    assert plan.read(job, tmp_path).new == job.cells
    assert sorted(tmp_path.rglob("*")) == files


SIZES_BEFORE = {
    ("digits", ()): (64, 10, 1348, 449),
    ("digits", ("bias",)): (65, 10, 1348, 449),
    ("diabetes", ()): (10, 1, 332, 110),
    ("breast-cancer", ()): (30, 1, 427, 142),
    ("mnist", ()): (784, 10, 60000, 10000),
}


@pytest.mark.parametrize(("source", "more"), SIZES_BEFORE)
def test_before_a_data_set_is_prepared_its_source_says_its_size(source, more):
    study = {"datasets": {"d": {"source": source} | dict.fromkeys(more, True)}, "grids": [GRID | {"dataset": "d"}]}
    options = config.read(study, "test")["datasets"]["d"]
    size = plan.source_size(options)
    assert (size.inputs, size.outputs, size.train_size, size.test_size) == SIZES_BEFORE[source, more]
    assert not size.checksums
    some = plan.source_size(options | {"test_size": 50})
    assert some.test_size == 50
    assert some.train_size + 50 * (source != "mnist") == size.train_size + size.test_size * (source != "mnist")


def test_of_two_classes_the_rows_are_a_share_and_the_net_has_one_output():
    study = {"datasets": {"toy": {"source": "mnist", "classes": [3, 8]}}, "grids": [GRID | {"dataset": "toy"}]}
    options = config.read(study, "test")["datasets"]["toy"]
    assert plan.source_size(options) == DataSize(inputs=784, outputs=1, train_size=12000, test_size=2000)
    three = plan.source_size(options | {"classes": [1, 3, 8]})
    assert (three.outputs, three.train_size) == (3, 18000)


def test_a_prepared_file_goes_before_what_the_source_says(tmp_path):
    [job, _] = made(tmp_path, STUDY)
    assert plan.read(job, tmp_path).data == DataSize(inputs=4, outputs=3, train_size=112, test_size=38)
    write_dataset(tmp_path, "toy", job.options)
    assert plan.read(job, tmp_path).data == DataSize(**SIZES, checksums={0: "c0ffee", 1: "c0ffee1"})


def test_a_source_that_does_not_say_its_size_is_named_and_the_rest_is_planned(tmp_path, monkeypatch):
    [toy, other] = found = made(tmp_path, STUDY)
    entries = registry.entries

    def silent(mark: str) -> dict[str, Entry]:
        known = entries(mark)
        return known | {"iris": replace(known["iris"], settings={})} if mark == "source" else known

    monkeypatch.setattr(registry, "entries", silent)
    said = planned(tmp_path, found)
    assert "4 cells in 1 stacks; 0 of them are trained, 4 are new." in said
    assert "The data set toy must be prepared before its 4 cells in 1 stacks can be planned" in said
    assert said.endswith(f"snakemake --cores 1 {tmp_path}/datasets/toy.safetensors")
    assert planned(tmp_path, [toy]).startswith("The data set toy must be prepared")
    write_dataset(tmp_path, "toy", toy.options)
    assert "8 cells in 2 stacks; 0 of them are trained, 8 are new." in planned(tmp_path, found)


@pytest.mark.parametrize(
    ("more", "times"),
    [
        ({"weight_decay": [0, 0.1, 0.2, 0.3]}, 11 / 9),
        ({"label_noise": [0, 0.2]}, 19 / 9),
        ({"label_noise": [0, 0.2], "seed": 0}, 2),
        ({"weight_decay": 0, "activation": "gelu"}, 0),
    ],
)
def test_minimisers_are_planned_by_weight_decays_and_paths(tmp_path, more, times):
    """One weight decay above 0 and a path of eight are nine; noisy labels of each seed have their own, on one path."""
    once, changed = (made(tmp_path, STUDY | {"grids": [GRID | {"dataset": "toy"} | own]}) for own in ({}, more))
    [one] = plan.minimisers(tmp_path, once, OPTIMA)
    found = sum(each.seconds - START for each in plan.minimisers(tmp_path, changed, OPTIMA))
    assert found / (one.seconds - START) == pytest.approx(times, abs=1e-3)
    assert plan.minimisers(tmp_path, once, OPTIMA | {"largest": 1})[0].seconds < START + 0.01


@pytest.mark.parametrize(
    ("inputs", "train_size", "width", "cells", "paired", "took"),
    [
        (9, 15480, 1024, 12, 0, 164),
        (9, 15480, 64, 12, 0, 15),
        (64, 1347, 128, 51, 0, 12),
        (9, 15480, 256, 40, 9, 435),
    ],
)
def test_analyses_take_what_jobs_of_few_inputs_and_of_pairs_took(inputs, train_size, width, cells, paired, took):
    """CPU seconds of jobs of the default study and of `paper` on an Intel Xeon, with 16 or 8 snapshots."""
    data = DataSize(inputs=inputs, outputs=1, train_size=train_size, test_size=train_size // 3)
    kept = 17 if inputs == 9 else 9
    both = a_stack(cells, widths=(width,)), a_stack(paired, widths=(width,), decay_rule="input-norm")
    stack = replace(both[0], cells=both[0].cells + both[1].cells, data=data, kept=kept, snapshots=kept)
    foreseen = sum(costs.analysis_seconds(name, stack) for name in ANALYSIS)
    assert took / costs.WITHIN["analyses"] < foreseen < took * costs.WITHIN["analyses"]


def test_what_has_no_calibration_costs_what_the_dearest_does():
    stack, novel = a_stack(), a_stack(optimizer="novel")
    dearest = max(ANALYSIS, key=lambda name: costs.analysis_seconds(name, stack))
    assert costs.analysis_seconds("novel", stack) == costs.analysis_seconds(dearest, stack)
    assert costs.bytes_written("novel", stack) == max(costs.bytes_written(name, stack) for name in ANALYSIS)
    assert costs.training_seconds(novel) == costs.training_seconds(a_stack(optimizer="adamw"))


def test_a_wide_net_is_truncated_to_some_ranks_and_a_narrow_one_to_each():
    looks = ANALYSIS["truncation"].looks
    assert looks(a_stack()) == 7
    wide = replace(a_stack(widths=(300,)), data=replace(DATA, inputs=200))
    assert looks(wide) == 23


def test_an_analysis_that_is_registered_is_planned(tmp_path, monkeypatch):
    entries = registry.entries
    novel = {"novel": Entry("novel", "ranktwo.analysis.novel", "novel", "")}
    monkeypatch.setattr(registry, "entries", lambda mark: entries(mark) | (novel if mark == "analysis" else {}))
    assert rows(planned(tmp_path, made(tmp_path, STUDY)))["novel"][0] == 2


def test_the_command_needs_neither_torch_nor_data(tmp_path):
    found = made(tmp_path, STUDY)
    jobs.write_stacks(tmp_path, [job.stack for job in found])
    arguments = ["--results", str(tmp_path), "--stacks", str(tmp_path / "jobs" / "all.json"), "--device", "auto"]
    arguments += ["--optima", json.dumps(OPTIMA)]
    code = (
        "import sys; sys.argv = ['plan', *sys.argv[1:]]; from ranktwo.stages.plan import main; main(); "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('torch', 'numba', 'scipy', 'pandas')))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "8 cells in 2 stacks; 0 of them are trained, 8 are new." in done.stdout
    assert "GPU: 2 jobs ask for one each" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_stack_without_a_job_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="a.json cannot be read"):
        plan.plan(tmp_path, ["a"], "cpu", OPTIMA)
