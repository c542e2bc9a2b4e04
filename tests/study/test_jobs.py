"""Job files: a round trip loses nothing, and what is no job file is one sentence."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support import a_cell

from ranktwo.errors import UserError
from ranktwo.store.canonical import short_hash
from ranktwo.study import jobs
from ranktwo.study.axes import AXES
from ranktwo.study.jobs import Job

OPTIONS = {"source": "digits", "classes": [3, 8], "clip": 5}
CELLS = [a_cell(widths=(8, 4), label_noise=noise, batch_size="full") for noise in (0.0, 0.5)]
JOB = Job(stack="toy_x", options=OPTIONS, snapshots=5, cells=CELLS)


def arguments(add: object, *given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(given)


def test_a_job_file_says_everything_about_its_cells(tmp_path):
    jobs.write(tmp_path, JOB)
    path = jobs.path_of(tmp_path, "toy_x")
    read = jobs.read(path)
    assert read == JOB
    assert read.hash == JOB.hash
    assert all(type(cell.widths) is tuple for cell in read.cells)
    lines = path.read_text().splitlines()
    assert sum(line.startswith('    {"dataset": "toy"') for line in lines) == len(CELLS)


def test_the_hash_differs_with_anything_that_is_asked_for():
    other = {"train_size": 9, "widths": (8,), "optimizer": "adamw", "schedule": "cosine", "decay_rule": "input-norm"}
    values = {axis: other.get(axis, 7) for axis in AXES} | {"dataset": "other"}
    changed = [replace(JOB, cells=[replace(cell, **{axis: value}) for cell in CELLS]) for axis, value in values.items()]
    changed += [replace(JOB, stack="y"), replace(JOB, options={}), replace(JOB, snapshots=6), replace(JOB, keep="last")]
    changed += [replace(JOB, cells=CELLS[:1]), replace(JOB, cells=CELLS[::-1])]
    assert len({job.hash for job in [JOB, *changed]}) == 1 + len(changed)


def test_swapped_values_make_another_hash():
    one, other = (replace(JOB, cells=[a_cell(learning_rate=a, weight_decay=b)]) for a, b in ((0.1, 0.01), (0.01, 0.1)))
    assert one.hash != other.hash


def test_a_file_is_written_only_where_its_content_changes(tmp_path):
    def write(job: Job, *stacks: str) -> list[int]:
        jobs.write(tmp_path, job)
        jobs.write_stacks(tmp_path, stacks)
        return [path.stat().st_mtime_ns for path in (jobs.path_of(tmp_path, "toy_x"), tmp_path / "jobs" / "all.json")]

    first = write(JOB, "a", "b")
    assert write(JOB, "a", "b") == first
    assert all(one != other for one, other in zip(write(replace(JOB, snapshots=6), "b", "a"), first, strict=True))


NO_JOB = ["", "{}", "[1]", "null", "{", '{"stack": "a", "options": {}, "snapshots": 1, "cells": [{}]}']
NO_JOB += [json.dumps({"stack": "a", "options": {}, "snapshots": 1, "cells": [vars(CELLS[0]) | {"ramp": 1}]})]


@pytest.mark.parametrize("text", NO_JOB)
def test_what_is_no_job_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    for read in (jobs.read, jobs.read_stacks):
        with pytest.raises(UserError, match="delete it and run snakemake again") as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    for read in (jobs.read, jobs.read_stacks):
        with pytest.raises(UserError, match="nowhere.json cannot be read .*; run snakemake, which writes it"):
            read(tmp_path / "nowhere.json")


def test_a_job_file_that_was_changed_stops_the_job(tmp_path):
    jobs.write(tmp_path, JOB)
    path = str(jobs.path_of(tmp_path, "toy_x"))
    assert jobs.of(arguments(jobs.add_argument, "--job", path)) == JOB
    assert jobs.of(arguments(jobs.add_argument, "--job", path, "--job-hash", JOB.hash)) == JOB
    with pytest.raises(UserError, match="holds other cells than this job was started for"):
        jobs.of(arguments(jobs.add_argument, "--job", path, "--job-hash", "01234567"))


def test_the_list_of_stacks_is_in_order_and_has_a_hash(tmp_path):
    names = ["b", 'a"x']
    jobs.write_stacks(tmp_path, names)
    path = str(tmp_path / "jobs" / "all.json")
    add = jobs.add_stacks_argument
    assert jobs.stacks_of(arguments(add, "--stacks", path)) == names
    assert jobs.stacks_of(arguments(add, "--stacks", path, "--stacks-hash", short_hash(names))) == names
    with pytest.raises(UserError, match="lists other stacks than this job was started for"):
        jobs.stacks_of(arguments(add, "--stacks", path, "--stacks-hash", "01234567"))


def test_cells_in_a_line_for_a_log_are_what_differs():
    assert jobs.described(CELLS) == "2 cells: label_noise 0 0.5"
    assert jobs.described(CELLS[:1]).startswith("1 cells: {")
    assert Path(jobs.path_of(Path("results"), "a")) == Path("results/jobs/a.json")
