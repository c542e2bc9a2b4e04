"""Sources: each is one file, declares what is known of it, and is held to that."""

import ast
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from ranktwo.data import preparation
from ranktwo.data.options import Options
from ranktwo.data.sources import base
from ranktwo.data.sources.base import Facts, Raw
from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study import source_options

MOONS = """from pathlib import Path

from ranktwo.data.sources.base import Raw, source


@source("moons", rows=(600,), columns=2, kind="classification", classes=2)
def moons(name: str, folder: Path, download: bool) -> Raw:
    \"\"\"Two interleaved half circles.\"\"\"
    import sklearn.datasets

    x, y = sklearn.datasets.make_moons(600, noise=0.1, random_state=0)
    return Raw(kind="classification", train_x=x, train_y=y, verified="structure")
"""
FINGERPRINTS = """
import json
from ranktwo.store import fingerprints, registry
print(json.dumps({name: fingerprints.fingerprint("dataset", source=name) for name in registry.entries("source")}))
"""
FACTS = """
import sys
from ranktwo.store import registry
print({name: entry.settings for name, entry in registry.entries("source").items()})
assert not {"torch", "numpy", "sklearn"} & set(sys.modules)
"""


def run(root, *arguments):
    """Standard output of a Python that takes the package from `root`."""
    done = subprocess.run(
        [sys.executable, *arguments], env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_one_new_file_is_a_source_and_changes_no_other_fingerprint(tmp_path):
    root = tmp_path / "src"
    shutil.copytree(registry.PACKAGE, root / "ranktwo", ignore=shutil.ignore_patterns("__pycache__"))
    before = json.loads(run(root, "-c", FINGERPRINTS))
    (root / "ranktwo" / "data" / "sources" / "moons.py").write_text(MOONS)
    after = json.loads(run(root, "-c", FINGERPRINTS))
    assert {name: after[name] for name in before} == before and set(after) == {*before, "moons"}
    # Sources of one function have its fingerprint.
    functions = {(entry.module, entry.function) for entry in registry.entries("source").values()}
    assert len(set(after.values())) == len(functions) + 1
    output = tmp_path / "moons.safetensors"
    flags = ["--name=it", '--options={"source": "moons"}', f"--folder={tmp_path}", f"--output={output}"]
    run(root, "-m", "ranktwo", "dataset", *flags, "--no-download")
    assert output.exists()


def test_what_is_declared_of_a_source_is_known_without_an_import():
    facts = ast.literal_eval(run(registry.PACKAGE.parent, "-c", FACTS))
    assert facts["mnist"] == {
        "rows": (60_000, 10_000),
        "columns": 784,
        "kind": "classification",
        "classes": 10,
        "image": (28, 28, 1),
    }
    assert facts["california"] == {"rows": (20_640,), "columns": 8, "kind": "regression"}
    bundled = {"digits", "diabetes", "breast-cancer", "wine", "iris"}
    planted = {f"planted-{name}" for name in ("abs", "rank-1", "rank-2", "rank-4", "random", "two-inputs", "xor")}
    images = {"mnist", "fashion-mnist", "kmnist", "cifar10"}
    assert set(facts) == bundled | planted | images | {"file", "modular", "california"}


@pytest.mark.parametrize("name", sorted({*registry.entries("source")} - {*source_options.OPTIONS.values()}))
def test_every_source_declares_its_facts(name):
    facts, entry = base.declared(name), registry.entries("source")[name]
    assert facts.rows and facts.columns and facts.kind
    assert (facts.classes is None) == (facts.kind == "regression")
    module = "planted" if name.startswith("planted") else name.replace("-", "_")
    assert entry.summary and entry.module == f"ranktwo.data.sources.{module}"


def test_another_release_of_bundled_data_is_refused(monkeypatch):
    from ranktwo.data.sources import iris

    load_iris = iris.load_iris
    monkeypatch.setattr(iris, "load_iris", lambda **settings: [part[:-1] for part in load_iris(**settings)])
    with pytest.raises(UserError, match="the iris data of this scikit-learn are not the known ones; install another"):
        base.read("iris", Path("nowhere"), False)


X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
TEST = {"test_x": X[:3], "test_y": Y[:3]}


def given(monkeypatch, declared=None, **changes):
    """What `read` makes of a source that gives six rows of three classes, changed."""
    raw = Raw(**{"kind": "classification", "train_x": X, "train_y": Y, "verified": "structure"} | changes)
    monkeypatch.setitem(sys.modules, "toy_source", types.SimpleNamespace(toy=lambda name, folder, download: raw))
    entry = registry.Entry("toy", "toy_source", "toy", "", declared or {})
    monkeypatch.setitem(registry.entries("source"), "toy", entry)
    return base.read("toy", Path("nowhere"), False)


def test_facts_may_be_left_out(monkeypatch):
    assert base.declared("iris") == Facts(rows=(150,), columns=4, kind="classification", classes=3)
    assert given(monkeypatch).train_y is Y
    assert base.declared("toy") == Facts()
    whole = {"rows": (6, 3), "columns": 2, "kind": "classification", "classes": 3}
    assert given(monkeypatch, whole, **TEST).test_x is TEST["test_x"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"test_x": X}, "has only one of test_x and test_y"),
        ({"train_x": X[:, 0]}, r"has train_x of shape \(6,\) and train_y of shape \(6,\), where"),
        ({"train_y": Y[:5]}, r"has train_x of shape \(6, 2\) and train_y of shape \(5,\)"),
        ({"train_y": Y[:, None]}, r"has train_x of shape \(6, 2\) and train_y of shape \(6, 1\)"),
        ({"test_x": X[:3, :1], "test_y": Y[:3]}, r"has test_x of shape \(3, 1\)"),
        ({"train_x": np.where(X == 5, np.nan, X)}, "has train numbers that are not finite"),
        ({"kind": "regression", "train_y": np.where(Y == 1, np.inf, 0.0)}, "has train numbers that are not finite"),
        ({"train_y": Y.astype(float)}, "has train labels that are not whole numbers from 0"),
        ({"train_y": Y - 1}, "has train labels that are not whole numbers from 0"),
        ({"train_y": 0 * Y + 3}, "has training labels of fewer than two classes"),
        ({"test_x": X, "test_y": Y + 1}, "has test labels that no training row has"),
        ({"declared": {"rows": (7,)}}, r"declares rows=\(7,\) but gives \(6,\)"),
        ({"declared": {"rows": (6,)}} | TEST, r"declares rows=\(6,\) but gives \(6, 3\)"),
        ({"declared": {"columns": 3}}, "declares columns=3 but gives 2"),
        ({"declared": {"kind": "regression"}}, "declares kind='regression' but gives 'classification'"),
        ({"declared": {"classes": 2}}, "declares classes=2 but gives 3"),
        ({"declared": {"image": (1, 3, 1)}}, r"declares images of \(1, 3, 1\) but gives 2 columns"),
        ({"image": (2, 2, 1)}, r"declares images of \(2, 2, 1\) but gives 2 columns"),
    ],
)
def test_arrays_that_are_not_as_they_should_be_are_refused(changes, sentence, monkeypatch):
    with pytest.raises(UserError, match=f"^the source toy {sentence}.*; mend toy_source$"):
        given(monkeypatch, **changes)


def test_what_is_planted_is_there():
    """The mean of y x x^T has an eigenvalue of +-1/sqrt(2 pi) for each neuron of a teacher, and others near 0."""
    read = {name: base.read(f"planted-{name}", Path(), False) for name in ("rank-1", "rank-2", "rank-4", "abs", "xor")}
    for rank in (2, 4):
        x, y = read[f"rank-{rank}"].train_x, read[f"rank-{rank}"].train_y
        sizes = np.sort(np.abs(np.linalg.eigvalsh((x * y[:, None]).T @ x / len(x))))[::-1]
        assert sizes[rank - 1] > 0.25 > 0.2 > sizes[rank]
    linear = read["rank-1"]
    assert np.linalg.lstsq(linear.train_x, linear.train_y, rcond=None)[1] < 1e-20
    assert read["abs"].train_y == pytest.approx(np.abs(read["abs"].train_x) @ np.repeat([1, -1], 5))
    xor = read["xor"]
    right = np.abs(xor.train_x[:, 0] + xor.train_x[:, 1]) > np.abs(xor.train_x[:, 0] - xor.train_x[:, 1])
    assert (right == xor.train_y).all()


@pytest.mark.parametrize("modulus", [2, 5, 13])
def test_modular_addition_has_every_pair_once_with_its_sum(modulus):
    read = base.read("modular", Path(), False, modulus=modulus)
    assert read.train_x.shape == (modulus**2, 2 * modulus) and read.test_x is None
    assert read.image == (1, 2, modulus)
    found = set()
    for code, label in zip(read.train_x.tolist(), read.train_y.tolist(), strict=True):
        assert sorted(code) == [0.0] * (2 * modulus - 2) + [1.0, 1.0]
        a, b = code[:modulus].index(1), code[modulus:].index(1)
        assert label == (a + b) % modulus
        found.add((a, b))
    assert len(found) == modulus**2


def test_the_codes_of_modular_addition_stay_as_they_are_without_scaling_and_splits_differ():
    options = Options(source="modular", modulus=7, scaling="none", test_size=20)
    tensors, facts = preparation.prepare("sums", options, Path(), False, splits=[1])
    assert (facts["inputs"], facts["outputs"], facts["train_size"], facts["test_size"]) == (14, 7, 29, 20)
    first, other = (np.vstack([tensors[f"train_x{end}"], tensors[f"test_x{end}"]]) for end in ("", ".1"))
    assert np.unique(first).tolist() == [0, 1]
    assert (first != other).any() and {tuple(row) for row in first} == {tuple(row) for row in other}
