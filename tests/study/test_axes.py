"""Axes in a config: each is one value or a list of its kind, and one that is declared needs no other edit."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from support import ROOT

from ranktwo.errors import UserError
from ranktwo.study import config
from ranktwo.study.axes import AXES, Axis, widths_of, widths_text

GRID = {
    "dataset": "digits",
    "learning_rate": 0.1,
    "batch_size": 16,
    "weight_decay": [0, 0.1],
    "steps": 10,
    "seed": [0, 1],
}
STUDY = {"datasets": {"digits": {"source": "digits"}}, "grids": [GRID]}


def read_axis(axis: str, value: object) -> object:
    """What a config's only grid has on an axis that was given this value."""
    study = STUDY | {"grids": [GRID | {axis: value}]}
    if axis == "dataset":
        names = value if isinstance(value, list) else [value]
        study["datasets"] = STUDY["datasets"] | {name: {"source": "digits"} for name in names if isinstance(name, str)}
    return config.read(study, "test")["grids"][0][axis]


def a_value(axis: Axis) -> object:
    """A value that an axis may have."""
    if axis.kind == "text":
        return "other"
    if axis.kind == "choice":
        return axis.words()[-1]
    if axis.kind == "flag":
        return True
    return axis.least if axis.least else 64 if axis.name == "batch_size" else 1


@pytest.mark.parametrize("axis", AXES.values(), ids=list(AXES))
def test_an_axis_is_one_value_or_a_list_of_values_of_its_kind(axis):
    value = a_value(axis)
    if axis.name == "train_size":
        value = 99  # no fewer than a batch has
    good = [value, *axis.words(), *[None] * axis.optional]
    bad: list[object] = [{}, [], [[]], [[[value]]], *[True] * (axis.kind != "flag"), *[None] * (not axis.optional)]
    if axis.kind != "text":
        bad += ["\0", "many"]
    if axis.kind in ("whole", "widths", "choice"):
        bad += ["1e-3", 2.5]
    if axis.least is not None:
        bad.append(axis.least - 1)
    if axis.above is not None:
        bad.append(axis.above)
    if axis.most is not None:
        good.append(int(axis.most))
        bad.append(axis.most + 1)
    for one in good:
        assert read_axis(axis.name, one) == one
        assert read_axis(axis.name, [one]) == [one]
    for one in bad:
        with pytest.raises(UserError, match=rf"^test: grids\[0\]\.{axis.name}[0\[\]]* is "):
            read_axis(axis.name, one)
    with pytest.raises(
        UserError, match=rf"^test: grids\[0\]\.{axis.name}\[1\] is {{}}; (it must be|a range is one of) "
    ):
        read_axis(axis.name, [value, {}])
    if axis.kind == "whole":
        assert [type(one) for one in read_axis(axis.name, [float(value), "1e4"])] == [int, int]
    if axis.kind == "real":
        assert read_axis(axis.name, ["1e-3", 1]) == [0.001, 1]
    if axis.words():
        with pytest.raises(UserError, match=f"did you mean {axis.words()[0]}"):
            read_axis(axis.name, axis.words()[0][:-1])


@pytest.mark.parametrize(("widths", "text"), [((128,), "128"), ((64, 32), "64-32")])
def test_widths_are_read_as_they_are_written(widths, text):
    assert widths_text(widths) == text
    assert widths_of(text) == widths_of(list(widths)) == widths


def test_the_widths_of_deeper_nets_are_lists_in_the_list_of_values():
    assert read_axis("widths", [64, [64, 32]]) == [64, [64, 32]]
    with pytest.raises(UserError, match=r"widths\[1\]\[0\] is 0; it must be a whole number of at least 1 and of"):
        read_axis("widths", [64, [0, 32]])
    with pytest.raises(UserError, match=r"grids\[0\].widths\[0\] is empty; it needs at least one entry"):
        read_axis("widths", [[]])


NEW_AXIS = """
    ramp: float = _axis(
        kind="real",
        help="Share of the steps over which the rate rises.",
        heading="ramp",
        symbol="ramp {}",
        slug="ramp{:g}",
        type=REAL,
        stacks=True,
        least=0,
        most=1,
        default=0.0,
    )
    seed: int = _axis("""
USES_IT = """
import json, sys
from ranktwo.errors import UserError
from ranktwo.study import config, grid
study = json.load(sys.stdin)
read = config.read(study, "test")
stacks = grid.stacks(grid.expand(read["grids"]), read["stack"], read["datasets"])
names = [grid.cell_name(cell, {}).rpartition("_")[0] for cells in stacks.values() for cell in cells]
study["grids"][0]["ramp"] = 2
try:
    config.read(study, "test")
except UserError as error:
    sentence = str(error)
print(json.dumps({"stacks": len(stacks), "names": names, "sentence": sentence, "keys": config.keys()}))
"""


def test_an_axis_that_is_declared_is_an_axis_of_the_config(tmp_path):
    shutil.copytree(ROOT / "src" / "ranktwo", tmp_path / "ranktwo")
    path = tmp_path / "ranktwo" / "study" / "axes.py"
    path.write_text(path.read_text().replace("\n    seed: int = _axis(", NEW_AXIS))
    study = STUDY | {"grids": [GRID | {"ramp": [0, 0.5]}], "stack": ["seed", "weight_decay", "ramp"]}
    command = [sys.executable, "-c", USES_IT]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, input=json.dumps(study), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["stacks"] == 1
    assert said["names"][:4] == [
        f"digits_w128_sgd_lr0.1_b16_wd0_t10_{rest}" for rest in ("s0", "s1", "ramp0.5_s0", "ramp0.5_s1")
    ]
    assert said["sentence"].startswith("test: grids[0].ramp is 2; it must be a number of at least 0 and of at most 1")
    row = [key for key in said["keys"] if key[0] == "grids[].ramp"]
    values = "a number of at least 0 and of at most 1 or a list of such values or a range"
    assert row == [["grids[].ramp", values, "`0`", "Share of the steps over which the rate rises."]]
