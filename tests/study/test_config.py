"""Configs: each shipped one is valid, each bad one is one sentence that names key, value and what is allowed."""

import copy
import dataclasses
import importlib
import math
import tempfile
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study import config, grid, jobs
from ranktwo.study.axes import AXES
from ranktwo.study.grid import MOST_CELLS

SCHEMA = config.schema()
SHIPPED = [ROOT / "config.yaml", *sorted((ROOT / "workflow" / "studies").glob("*.yaml"))]
STUDY = {
    "datasets": {"digits": {"source": "digits"}},
    "grids": [
        {
            "dataset": "digits",
            "learning_rate": 0.1,
            "batch_size": 16,
            "weight_decay": [0, 0.1],
            "steps": 10,
            "seed": [0, 1],
        }
    ],
}


def changed(path: list, value: object, drop: bool = False) -> dict:
    study = copy.deepcopy(STUDY)
    at = study
    for key in path[:-1]:
        at = at[key]
    if drop:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return study


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configs_are_valid(path):
    study = config.read(yaml.safe_load(path.read_text()), path.name)
    assert study["grids"]


def objects(part: dict) -> list[dict]:
    """All schemas of mappings in a schema."""
    inner = [item for value in part.values() for item in (value if isinstance(value, list) else [value])]
    found = [one for item in inner if isinstance(item, dict) for one in objects(item)]
    return found + [part] * (part.get("type") == "object")


def test_the_model_is_closed_and_every_key_is_described():
    for found in objects(SCHEMA):
        assert found.get("additionalProperties") is False or "patternProperties" in found or "propertyNames" in found
    rows = config.keys()
    assert len({key for key, *_ in rows}) == len(rows)
    for key, values, _, meaning in rows:
        assert values, key
        assert meaning.endswith("."), key


def test_the_model_knows_what_the_code_knows():
    definitions = SCHEMA["$defs"]
    assert definitions["DataSet"]["properties"]["source"]["enum"] == list(registry.entries("source"))
    assert list(definitions["Grid"]["properties"]) == list(AXES)
    assert list(definitions["Where"]["properties"]) == list(AXES)
    assert SCHEMA["properties"]["figures"]["propertyNames"]["enum"] == list(registry.entries("figure"))
    stacked = SCHEMA["properties"]["stack"]
    assert stacked["items"]["enum"] == [name for name, axis in AXES.items() if axis.stacks]
    assert set(stacked["default"]) <= set(stacked["items"]["enum"])


def test_defaults_of_a_data_set_are_those_of_its_preparation():
    options = importlib.import_module("ranktwo.data.options").Options(source="digits")
    assert config.read(STUDY, "test")["datasets"]["digits"] == dataclasses.asdict(options)


def test_defaults_of_axes_are_those_of_a_cell():
    found = config.read(STUDY, "test")["grids"][0]
    for name, axis in AXES.items():
        if not axis.required:
            assert grid.typed(axis, found[name]) == axis.default


def test_defaults_are_filled_in():
    study = config.read(STUDY, "test")
    assert study["results"] == "results"
    assert study["status"] == {"collapsed_norm": 0.01, "fit_accuracy": 0.9, "fit_r2": 0.3}
    assert study["datasets"]["digits"]["scaling"] == "feature"
    assert study["grids"][0]["widths"] == 128
    assert study["figures"] == {name: {"width": "page", "where": {}} for name in registry.entries("figure")}


def test_yaml_exponents_without_a_point_are_numbers():
    text = yaml.safe_load("weight_decay: [1e-3, 1.0e-3, 1E2]")
    assert text["weight_decay"][0] == "1e-3"
    study = config.read(changed(["grids", 0, "weight_decay"], text["weight_decay"]), "test")
    assert study["grids"][0]["weight_decay"] == [1e-3, 1e-3, 100.0]


BAD = {
    "misspelt axis": (["grids", 0, "weigth_decay"], 0.1, ["grids[0].weigth_decay", "did you mean weight_decay?"]),
    "misspelt key": (["snapshot"], 3, ["snapshot is not a known key", "did you mean snapshots?"]),
    "negative decay": (["grids", 0, "weight_decay"], -0.1, ["grids[0].weight_decay is -0.1", "at least 0"]),
    "negative in a list": (["grids", 0, "weight_decay"], [0, -1], ["grids[0].weight_decay[1] is -1", "at least 0"]),
    "zero rate": (["grids", 0, "learning_rate"], 0, ["grids[0].learning_rate is 0", "above 0"]),
    "text for a number": (["grids", 0, "steps"], "many", ["grids[0].steps is 'many'", "a whole number"]),
    "fractional steps": (["grids", 0, "steps"], 2.5, ["grids[0].steps is 2.5", "a whole number"]),
    "unknown optimizer": (["grids", 0, "optimizer"], "adam", ["grids[0].optimizer is 'adam'", "adamw", "did you mean"]),
    "unknown source": (["datasets", "digits", "source"], "digit", ["datasets.digits.source", "did you mean digits?"]),
    "undefined data set": (["grids", 0, "dataset"], "digitz", ["grids[0].dataset is 'digitz'", "did you mean digits?"]),
    "empty list": (["grids", 0, "seed"], [], ["grids[0].seed is empty"]),
    "no grids": (["grids"], [], ["grids is empty"]),
    "batch of text": (["grids", 0, "batch_size"], "all", ["grids[0].batch_size is 'all'", "full"]),
    "batch above train size": (["grids", 0, "train_size"], 8, ["batch_size 16 is more than train_size 8"]),
    "one class": (["datasets", "digits", "classes"], [3], ["datasets.digits.classes", "at least 2"]),
    "twice the same class": (["datasets", "digits", "classes"], [3, 3], ["datasets.digits.classes", "twice"]),
    "unknown figure": (
        ["figures"],
        {"spectra": None},
        ["figures.spectra is not a known key", "did you mean spectrum?"],
    ),
    "unknown axis of a figure": (["figures"], {"gap": {"where": {"batch": 4}}}, ["batch", "did you mean batch_size?"]),
    "value no grid has": (
        ["figures"],
        {"gap": {"where": {"batch_size": 4}}},
        ["figures.gap.where.batch_size is 4", "16"],
    ),
    "stacked axis that cannot be": (["stack"], ["widths"], ["stack[0] is 'widths'", "seed"]),
    "name of a data set": (["datasets", "Digits 2"], {"source": "digits"}, ["Digits 2", "lower-case"]),
    "not a number": (["grids", 0, "weight_decay"], math.nan, ["grids[0].weight_decay is nan", "finite"]),
    "infinite": (["grids", 0, "learning_rate"], math.inf, ["grids[0].learning_rate is inf", "finite"]),
    "huge": (["grids", 0, "learning_rate"], 10**400, ["grids[0].learning_rate is 1000", "at most 1000000"]),
    "threshold": (["status"], {"fit_accuracy": 90}, ["status.fit_accuracy is 90", "at most 1"]),
    "null for a mapping": (["datasets"], None, ["datasets is null", "a mapping"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_is_one_sentence(name):
    path, value, parts = BAD[name]
    with pytest.raises(UserError) as caught:
        config.read(changed(path, value), "my.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my.yaml: ")
    assert "\n" not in sentence
    assert len(sentence) < 400
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize("key", ["dataset", "learning_rate", "batch_size", "weight_decay", "steps", "seed"])
def test_a_missing_axis_is_named(key):
    with pytest.raises(UserError, match=rf"grids\[0\].{key} is missing"):
        config.read(changed(["grids", 0, key], None, drop=True), "test")


ODD = [*"\0\n{}'\"$`é漢 ", "nan", "-0", "1e999", "null", "../..", "a" * 5000, "\u202e", "full", "all"]
NUMBERS = [0, -1, 1, 2**63, -(2**63), 10**400, 1e308, 5e-324, -0.0, math.nan, math.inf, -math.inf, True, 0.5]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*ODD, *NUMBERS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *([key] for key in SCHEMA["properties"]),
    *(["grids", 0, axis] for axis in AXES),
    *(["datasets", "digits", key] for key in SCHEMA["$defs"]["DataSet"]["properties"]),
    *(["figures", "gap", "where", axis] for axis in AXES),
    ["figures", "gap"],
    ["datasets", "other"],
    ["anything"],
]


def read_and_expand(study: dict) -> None:
    """What Snakemake's parsing does with a config: all of it, or one sentence."""
    try:
        found = config.read(study, "test")
        stacks = grid.stacks(grid.expand(found["grids"]), found["stack"], found["datasets"])
    except UserError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
        return
    for stack, cells in stacks.items():
        options = found["datasets"][cells[0].dataset]
        job = jobs.Job(stack=stack, options=options, snapshots=found["snapshots"], cells=cells)
        with tempfile.TemporaryDirectory() as folder:
            jobs.write(Path(folder), job)
            assert jobs.read(jobs.path_of(Path(folder), stack)) == job


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=3), values=st.lists(ANYTHING, min_size=3))
def test_any_values_anywhere_are_read_or_refused_in_a_sentence(places, values):
    study = copy.deepcopy(STUDY)
    for place, value in zip(places, values, strict=False):
        at = study
        try:
            for key in place[:-1]:
                at = at[key]
            at[place[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # an earlier value took the place away
    read_and_expand(study)


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(0, 3000), min_size=4, max_size=4))
def test_a_grid_of_any_size_is_expanded_or_its_count_is_named(sizes):
    axes = {"seed": sizes[0], "steps": sizes[1], "weight_decay": sizes[2], "learning_rate": sizes[3]}
    study = copy.deepcopy(STUDY)
    study["grids"][0] |= {axis: [number + 1 for number in range(size)] for axis, size in axes.items()}
    count = math.prod(sizes)
    if 0 < count < 5000:
        read_and_expand(study)
    elif count == 0 or count > MOST_CELLS:
        with pytest.raises(UserError, match="is empty" if count == 0 else f"{count:,} cells are asked for"):
            config.read(study, "test")


def check(tmp_path, content: bytes) -> str | None:
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    try:
        config.check(path)
    except UserError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
        return str(error)
    return None


TEXTS = {
    b"a: 1\nb: 2\na: 3": "line 3: the key a stands twice",
    b"grids:\n- {seed: 0, seed: 1}": "line 2: the key seed stands twice",
    b"a: [1\nb: {": "line 2",
    b"a: b: c": "line 1",
    b"\ta: 1": "line 1",
    b"- 1\n- 2": "has no keys",
    b"": "has no keys",
    b"\xff\xfe": "is not UTF-8 text",
    b"a: \x00": "is not YAML",
    b"a: &a [*a]": "refers to itself",
    b"a: !!python/object/apply:os.system [ls]": "line 1",
    b"[" * 5000: "nested too deeply",
    b"a: 2020-13-45": "is not YAML",
    b"? [1, 2]\n: 3": "line 1",
}


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_is_no_config_is_refused_in_a_sentence_that_says_where(tmp_path, text):
    assert TEXTS[text] in (check(tmp_path, text) or "accepted")


def test_yaml_that_means_one_thing_passes(tmp_path):
    assert check(tmp_path, b"base: &b {x: 1, y: 2}\na: {<<: *b, x: 3}\n1e-3: 4\n") is None
    with pytest.raises(UserError, match="nowhere.yaml cannot be read"):
        config.check(tmp_path / "nowhere.yaml")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | st.text(alphabet="ab:-[]{}&*!|>#,'\"\n\t 01?%@`", max_size=40))
def test_any_text_passes_or_is_refused_in_a_sentence(tmp_path, text):
    check(tmp_path, text.encode("utf-8", "surrogatepass"))
