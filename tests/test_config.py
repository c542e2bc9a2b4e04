"""Configs: each shipped one is valid, each bad one is one sentence that names key, value and what is allowed."""

import copy
import math

import jsonschema
import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from ranktwo import config, datasets
from ranktwo.errors import UserError
from ranktwo.figures import FIGURES
from ranktwo.grid import AXES

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


def test_schema_is_closed_described_and_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def walk(schema, name):
        if schema.get("type") == "object" or "properties" in schema:
            assert "additionalProperties" in schema or "propertyNames" in schema, f"{name} is open"
        for key, inner in schema.get("properties", {}).items():
            assert "description" in inner, f"{name}.{key} has no description"
            walk(inner, f"{name}.{key}")

    walk(SCHEMA, "config")
    for name, definition in SCHEMA["$defs"].items():
        walk(definition, name)


def test_schema_knows_what_the_code_knows():
    definitions = SCHEMA["$defs"]
    assert set(definitions["dataset"]["properties"]["source"]["enum"]) == set(datasets.SOURCES)
    assert set(definitions["grid"]["properties"]) == set(AXES)
    assert set(definitions["figure"]["properties"]["where"]["propertyNames"]["enum"]) == set(AXES)
    assert set(SCHEMA["properties"]["figures"]["properties"]) == set(FIGURES)
    defaults = {
        key: value["default"] for key, value in definitions["dataset"]["properties"].items() if "default" in value
    }
    options = datasets.Options(source="digits")
    assert defaults == {key: getattr(options, key) for key in defaults}


def test_defaults_are_filled_in():
    study = config.read(STUDY, "test")
    assert study["results"] == "results"
    assert study["status"] == {"collapsed_norm": 0.01, "fit_accuracy": 0.9, "fit_r2": 0.3}
    assert study["datasets"]["digits"]["scaling"] == "feature"
    assert study["grids"][0]["widths"] == 128
    assert set(study["figures"]) == set(FIGURES)


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


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *([key] for key in SCHEMA["properties"]),
    *(["grids", 0, axis] for axis in AXES),
    *(["datasets", "digits", key] for key in SCHEMA["$defs"]["dataset"]["properties"]),
    ["datasets", "other"],
    ["anything"],
]


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_any_value_anywhere_is_read_or_refused_in_a_sentence(place, value):
    try:
        config.read(changed(place, value), "test")
    except UserError as error:
        assert "\n" not in str(error)
