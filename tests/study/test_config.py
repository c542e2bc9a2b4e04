"""Configs: each shipped one is valid, each bad one is one sentence that names key, value and what is allowed."""

import copy
import json
import math
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import ROOT

from ranktwo.data.options import Options
from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study import config, grid, jobs
from ranktwo.study.axes import AXES
from ranktwo.study.grid import MOST_CELLS
from ranktwo.study.schema import PHASE

SCHEMA = config.schema()
OWN = {"source": "file", "path": "a.csv", "target": "y", "kind": "regression"}
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
    assert list(definitions["Grid"]["properties"]) == [*AXES, "sample"]
    assert list(definitions["Where"]["properties"]) == list(AXES)
    [drawn, _] = definitions["Figure"]["properties"]["draws"]["anyOf"]
    assert drawn["enum"] == list(registry.entries("figure"))
    assert PHASE in drawn["enum"]
    assert config.EQUAL_WIDTHS in registry.entries("net")
    stacked = SCHEMA["properties"]["stack"]
    assert stacked["items"]["enum"] == [name for name, axis in AXES.items() if axis.stacks]
    assert set(stacked["default"]) <= set(stacked["items"]["enum"])
    table = config.keys()
    help = {key: text for key, *_, text in table}
    marks = {f"grids[].{name}": axis.mark for name, axis in AXES.items() if axis.mark}
    for key, mark in (marks | {"datasets.NAME.source": "source"}).items():
        for entry in registry.entries(mark).values():
            assert f"`{entry.name}`: {entry.summary}" in help[key]
    for part in ("decay_ratio (mu/mu_c)", "decay_time (eta mu T)", "batch_over_decay (B/(eta mu))"):
        assert part in help["figures.NAME.plane.x"]


def test_defaults_of_a_data_set_are_those_of_its_preparation():
    options = Options(source="digits")
    assert config.read(STUDY, "test")["datasets"]["digits"] == options.as_dict()


def test_defaults_of_axes_are_those_of_a_cell():
    found = config.read(STUDY, "test")["grids"][0]
    for name, axis in AXES.items():
        if not axis.required:
            assert grid.typed(axis, found[name]) == axis.default


def test_defaults_are_filled_in():
    study = config.read(STUDY, "test")
    assert study["results"] == "results"
    assert study["status"] == {"collapsed_norm": 0.01, "fit_linear": 0.9, "fit_free": 0.5}
    assert study["datasets"]["digits"]["scaling"] == "feature"
    assert study["grids"][0]["widths"] == 128
    plane = study["figures"][PHASE].pop("plane")
    assert (plane["x"], plane["y"], plane["columns"]) == ("weight_decay", "learning_rate", ["residual_2"])
    names = [name for name in registry.entries("figure") if name != "weights"]
    assert study["figures"] == {name: {"width": "page", "where": {}} for name in names}


def test_the_figure_of_weights_is_drawn_where_the_study_has_some():
    study = config.read(STUDY | {"weights": {"mine": {"path": "net.pt"}}}, "test")
    assert list(study["figures"]) == list(registry.entries("figure"))
    with pytest.raises(UserError, match=r"weights.mine.file is not a known key; known are path"):
        config.read(STUDY | {"weights": {"mine": {"file": "net.pt"}}}, "test")


def test_yaml_exponents_without_a_point_are_numbers():
    text = yaml.safe_load("weight_decay: [1e-3, 1.0e-3, 1E2]")
    assert text["weight_decay"][0] == "1e-3"
    study = config.read(changed(["grids", 0, "weight_decay"], text["weight_decay"]), "test")
    assert study["grids"][0]["weight_decay"] == [1e-3, 1e-3, 100.0]


@pytest.mark.parametrize("key", ["results", "data_folder"])
def test_home_and_variables_in_a_folder_stand_for_what_they_do_in_a_shell(key, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("NOTHING", "")
    monkeypatch.setenv("ODD", "a{b}")
    monkeypatch.delenv("SCRACH", raising=False)
    meant = {"~/runs": f"{tmp_path}/runs", "$SCRATCH/a": "/scratch/me/a", "${SCRATCH}": "/scratch/me", "a~": "a~"}
    for text, folder in meant.items():
        assert config.read(changed([key], text), "test")[key] == folder
    refused = {
        "$SCRACH/a": "the environment variable SCRACH is not set",
        "a/${SCRACH}": "the environment variable SCRACH is not set",
        "$NOTHING": "the environment variable is empty",
        "$ODD": "a path has no braces",
        "a{b}": "a path has no braces",
        "a\n": "a path has no braces and no control characters",
        "~nobody-of-this-name/a": "nobody on this machine has that home folder",
    }
    for text, reason in refused.items():
        with pytest.raises(UserError, match=f"^test: {key} is .*; {reason}") as caught:
            config.read(changed([key], text), "test")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=f"{key} is 3; it must be text"):
        config.read(changed([key], 3), "test")


def test_a_file_of_ones_own_has_its_path_read_as_a_shell_does(monkeypatch):
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    options = OWN | {"path": "$SCRATCH/a.CSV", "test_path": "b.npz"}
    found = config.read(changed(["datasets", "digits"], options), "test")["datasets"]["digits"]
    assert found == Options(**options | {"path": "/scratch/me/a.CSV"}).as_dict()
    assert "test_path" not in config.read(changed(["datasets", "digits"], OWN), "test")["datasets"]["digits"]
    assert not {"path", "target", "kind", "test_path"} & set(config.read(STUDY, "test")["datasets"]["digits"])


def test_a_figure_draws_the_cells_of_values_that_grids_have_however_they_are_written():
    study = changed(["grids", 0, "widths"], [64, [32, 32]])
    where = {"widths": [[64], [32, 32]], "weight_decay": "1e-1", "batch_size": 16.0, "train_size": None}
    study["figures"] = {"gap": {"where": where, "width": "column"}, "ranks": None}
    read = config.read(study, "test")["figures"]
    assert read["ranks"] == {"width": "page", "where": {}}
    assert list(read) == ["gap", "ranks"]
    assert read["gap"] == {"width": "column", "where": where | {"weight_decay": 0.1, "batch_size": 16}}
    where["widths"] = [64, [32, 31]]
    with pytest.raises(UserError, match=r"widths\[1\] is \[32, 31\], which no grid has \(\[64\], \[32, 32\]\)"):
        config.read(study, "test")
    where["widths"] = [{}]
    with pytest.raises(UserError, match=r"figures.gap.where.widths\[0\] is {}; it must be a whole number"):
        config.read(study, "test")


def test_a_key_that_is_not_known_explains_the_one_that_is_missing():
    study = changed(["grids", 0, "weight_decay"], None, drop=True)
    study["grids"][0]["weigth_decay"] = 1
    with pytest.raises(UserError, match="weigth_decay is not a known key; .*; did you mean weight_decay"):
        config.read(study, "test")


def test_a_transformer_has_blocks_of_one_width():
    study = changed(["grids", 0, "widths"], [16, [32, 32]])
    study["grids"][0]["net"] = ["mlp", "transformer"]
    assert config.read(study, "test")
    study["grids"][0]["widths"] = [16, [32, 16]]
    with pytest.raises(
        UserError, match=r"grids: widths \[32, 16\] are not those of a transformer, .*: \[\[32, 32\]\]$"
    ):
        config.read(study, "test")
    study["grids"][0]["net"] = "mlp"
    assert config.read(study, "test")


def test_the_order_of_keys_changes_nothing():
    study = copy.deepcopy(STUDY)
    study["grids"][0] = dict(reversed(study["grids"][0].items()))
    one, other = (config.read(given, "test") for given in (STUDY, study))
    assert json.dumps(one) == json.dumps(other)
    assert grid.expand(study["grids"]) == grid.expand(STUDY["grids"])


def test_the_table_of_keys_has_what_the_model_has():
    table = config.keys()
    rows = {key: rest for key, *rest in table}
    assert rows["grids[].weight_decay"][:2] == [
        "a number of at least 0 and of at most 1000000 or a list of such values or a range",
        "required",
    ]
    assert rows["datasets.NAME.clip"][:2] == ["a number above 0 or null", "`null`"]
    assert rows["status"] == [
        "a mapping of keys to values",
        "`{}`",
        "Thresholds behind the column `status` of gaps.parquet.",
    ]
    assert rows["stack"][1] == "`[split, seed, weight_decay, decay_rule, learning_rate, label_noise]`"
    assert rows["figures.gap"][2] == registry.entries("figure")["gap"].summary
    assert {key.removeprefix("grids[].") for key in rows if key.startswith("grids[]")} == {
        *AXES,
        *("sample", "sample.points", "sample.seed"),
    }


BAD = {
    "misspelt axis": (["grids", 0, "weigth_decay"], 0.1, ["grids[0].weigth_decay", "did you mean weight_decay?"]),
    "key of a name": (["[key]"], 3, ["[key] is not a known key"]),
    "data set of a name": (["datasets", "[key]"], {"source": "iris"}, ["datasets.[key] is not a valid name"]),
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
    "without end": (["checkpoint"], math.inf, ["checkpoint is inf", "finite"]),
    "huge": (["grids", 0, "learning_rate"], 10**400, ["grids[0].learning_rate is 1000", "at most 1000000"]),
    "threshold": (["status"], {"fit_free": 90}, ["status.fit_free is 90", "at most 1"]),
    "true for a number": (["grids", 0, "seed"], True, ["grids[0].seed is true", "a whole number"]),
    "text for true": (["download"], "yes", ["download is 'yes'", "true or false"]),
    "too long a number": (["checkpoint"], 10**400, ["checkpoint is 1000", "a number of at least 0"]),
    "figure of a number": (["figures"], {"gap": 3}, ["figures.gap is 3", "a mapping of keys to values or null"]),
    "width of a figure": (["figures"], {"gap": {"width": "pages"}}, ["figures.gap.width", "did you mean page?"]),
    "no folder": (["results"], "", ["results is empty"]),
    "file of its own": (["datasets", "digits", "path"], "a.csv", ["datasets.digits.path is given", "`source: file`"]),
    "file without a path": (["datasets", "digits"], {"source": "file"}, ["datasets.digits.path is missing"]),
    "file without a kind": (["datasets", "digits"], OWN | {"kind": None}, ["datasets.digits.kind is missing"]),
    "file of another kind": (["datasets", "digits"], OWN | {"kind": "classes"}, ["datasets.digits.kind", "regression"]),
    "no modulus": (["datasets", "digits"], {"source": "modular"}, ["datasets.digits.modulus is missing"]),
    "small modulus": (
        ["datasets", "digits"],
        {"source": "modular", "modulus": 1},
        ["datasets.digits.modulus is 1", "a whole number of at least 2 and of at most 200"],
    ),
    "sheet": (["datasets", "digits"], OWN | {"path": "a.xlsx"}, ["datasets.digits.path is 'a.xlsx'", ".csv, .parquet"]),
    "test sheet": (["datasets", "digits"], OWN | {"test_path": "a"}, ["datasets.digits.test_path is 'a'", ".npz"]),
    "no name of a file": (["datasets", "digits"], OWN | {"path": ""}, ["datasets.digits.path is empty"]),
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


ODD = [
    *"\0\n{}'\"$`é漢 ",
    "nan",
    "-0",
    "1e999",
    "null",
    "../..",
    "a" * 5000,
    "\u202e",
    "full",
    "all",
    "[key]",
    "list",
    "one",
    "1e4",
    "$X",
]
NUMBERS = [0, -1, 1, 2**63, -(2**63), 10**400, 1e308, 5e-324, -0.0, math.nan, math.inf, -math.inf, True, 0.5]
KEYS = st.sampled_from(["[key]", "list", "one", "int", "where", "source", "gap"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*ODD, *NUMBERS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | KEYS, inner, max_size=3),
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


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


def test_a_figure_may_be_drawn_twice_and_only_phase_shows_a_plane():
    study = copy.deepcopy(STUDY)
    study["figures"] = {"mine": {"draws": "gap"}, "phase": None, "other": {"draws": "phase", "plane": {"y": "steps"}}}
    found = config.read(study, "test")["figures"]
    assert found["mine"] == {"width": "page", "where": {}, "draws": "gap"}
    assert found["phase"]["plane"]["x"] == "weight_decay"
    assert found["other"]["plane"] == found["phase"]["plane"] | {"y": "steps"}
    for figures, reason in (
        ({"mine": None}, "figures.mine is not a known key; .* says with `draws` which of them it is"),
        ({"mine": {"draws": "gaps"}}, "figures.mine.draws is 'gaps'; .*did you mean gap?"),
        ({"gap": {"plane": {}}}, "figures.gap.plane is given, but only the figure phase"),
        ({"phase": {"plane": {"x": "optimizer"}}}, "figures.phase.plane.x is 'optimizer'; it must be one of"),
        ({"phase": {"plane": {"columns": []}}}, "figures.phase.plane.columns is empty"),
        ({"phase": {"plane": {"x": "widths", "y": "widths"}}}, "figures.phase.plane has widths as its x and its y; "),
        ({"phase": {"plane": {"x": "learning_rate"}}}, "figures.phase.plane has learning_rate as its x and its y; "),
        (
            {"phase": {"plane": {"columns": ["residual_2", "optimizer"]}}},
            r"figures.phase.plane.columns\[1\] is 'optimizer', which has no numbers; name a column with numbers",
        ),
    ):
        study["figures"] = figures
        with pytest.raises(UserError, match=f"^test: {reason}"):
            config.read(study, "test")
