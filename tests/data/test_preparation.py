"""Preparation: what the tensors hold, and what determines them."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from ranktwo.data.dataset import load
from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.data.sources.base import Raw
from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.store.files import write_tensors

pytestmark = pytest.mark.filterwarnings("error")


def made(folder=Path("nowhere"), **options):
    # The model of options knows no source of a test.
    return prepare("it", Options.model_construct(**options), folder, download=False)


def rows_of(tensors, part):
    return zip(tensors[f"{part}_x"].tolist(), tensors[f"{part}_y"].tolist(), strict=True)


def give(monkeypatch, raw):
    """Register a source `toy` that gives these arrays."""
    monkeypatch.setitem(sys.modules, "toy_source", types.SimpleNamespace(toy=lambda name, folder, download: raw))
    monkeypatch.setitem(registry.entries("source"), "toy", registry.Entry("toy", "toy_source", "toy", ""))


# What the tensors hold.


@pytest.mark.parametrize(
    ("source", "task", "inputs", "outputs", "train_size", "test_size"),
    [
        ("digits", "multiclass", 64, 10, 1348, 449),
        ("diabetes", "regression", 10, 1, 332, 110),
        ("breast-cancer", "binary", 30, 1, 427, 142),
        ("wine", "multiclass", 13, 3, 134, 44),
        ("iris", "multiclass", 4, 3, 112, 38),
    ],
)
def test_a_bundled_source_is_whole_and_standardised(source, task, inputs, outputs, train_size, test_size, tmp_path):
    write_tensors(tmp_path / "it.safetensors", *made(source=source))
    dataset = load(tmp_path / "it.safetensors").split(0)
    assert (dataset.name, dataset.task, dataset.inputs, dataset.outputs) == ("it", task, inputs, outputs)
    assert dataset.train_x.shape == (train_size, inputs) and dataset.test_x.shape == (test_size, inputs)
    varying = dataset.train_x.double().std(0, correction=0) > 0
    assert torch.allclose(dataset.train_x.double().mean(0), torch.zeros(inputs, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(
        dataset.train_x[:, varying].double().std(0, correction=0), torch.tensor(1.0).double(), atol=1e-6
    )
    assert dataset.test_x[:, ~varying].count_nonzero() == 0
    if task == "regression":
        assert abs(dataset.train_y.mean()) < 1e-6 and abs(dataset.train_y.std(correction=0) - 1) < 1e-6
        assert dataset.metadata["classes"] is None
    else:
        assert dataset.train_y.unique().tolist() == dataset.metadata["classes"] == list(range(max(2, outputs)))


def test_the_rows_are_the_sources_own_each_once():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    tensors, _ = made(source="digits", scaling="none")
    found = [(*row, label) for part in ("train", "test") for row, label in rows_of(tensors, part)]
    assert sorted(found) == sorted((*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True))


def test_regression_targets_return_to_their_units():
    from sklearn.datasets import load_diabetes

    tensors, metadata = made(source="diabetes")
    values = torch.cat([tensors["train_y"], tensors["test_y"]]) * metadata["target_std"] + metadata["target_mean"]
    assert np.allclose(np.sort(values.numpy().ravel()), np.sort(load_diabetes().target), atol=1e-3)


def test_the_metadata_are_complete():
    _, metadata = made(source="diabetes", clip=3, bias=True)
    assert set(metadata) == {
        *("name", "source", "options", "task", "inputs", "outputs", "classes", "train_size", "test_size"),
        *("preprocessing", "source_checksum", "verified", "checksum", "target_mean", "target_std"),
        *("official_test", "splits", "image"),
    }
    assert metadata["image"] is None and made(source="digits", bias=True)[1]["image"] is None
    assert made(source="digits", classes=[3, 8])[1]["image"] == (8, 8, 1)
    defaults = {"classes": None, "test_size": None, "scaling": "feature", "seed": 0}
    assert metadata["options"] == {"source": "diabetes", "clip": 3, "bias": True, **defaults}
    assert metadata["verified"] == "structure"
    assert "clipped to +-3; a column of ones appended; the target" in metadata["preprocessing"]


def test_chosen_classes_are_numbered_in_the_order_given():
    tensors, metadata = made(source="digits", classes=[8, 3], scaling="none")
    whole, _ = made(source="digits", scaling="none")
    label_of = {tuple(row): label for part in ("train", "test") for row, label in rows_of(whole, part)}
    expected = [{8: 0, 3: 1}[label_of[tuple(row)]] for row in tensors["train_x"].tolist()]
    assert tensors["train_y"].tolist() == expected
    assert (metadata["task"], metadata["outputs"], metadata["classes"]) == ("binary", 1, [8, 3])
    assert metadata["train_size"] + metadata["test_size"] == 174 + 183
    assert (
        metadata["preprocessing"]
        == "Classes 8, 3; features as in the source; rows in the random order of seed 0 + split."
    )


def test_scalings_are_by_the_training_part():
    raw, _ = made(source="wine", scaling="none")
    for scaling in ("feature", "global", "unit"):
        axis = 0 if scaling == "feature" else None
        shift = 0 if scaling == "unit" else raw["train_x"].double().numpy().mean(axis)
        size = raw["train_x"].abs().max().item() if scaling == "unit" else raw["train_x"].double().numpy().std(axis)
        tensors, _ = made(source="wine", scaling=scaling)
        for part in ("train_x", "test_x"):
            assert np.allclose(tensors[part].numpy(), (raw[part].double().numpy() - shift) / size, atol=1e-5)


def test_a_feature_constant_in_training_is_zero_in_the_test_part_too(monkeypatch):
    x = np.full((8, 2), 0.1)  # the mean of these is not exactly 0.1
    x[:, 1] = range(8)
    test_x = np.array([[7.0, 1.0], [8.0, 2.0]])
    raw = Raw(kind="regression", train_x=x, train_y=x[:, 1], test_x=test_x, test_y=test_x[:, 1], verified="structure")
    give(monkeypatch, raw)
    tensors, _ = made(source="toy")
    assert tensors["train_x"][:, 0].count_nonzero() == tensors["test_x"][:, 0].count_nonzero() == 0
    assert tensors["test_x"][:, 1].count_nonzero() == 2


def test_clipping_follows_scaling_and_the_bias_column_follows_clipping():
    free, _ = made(source="digits")
    bound, metadata = made(source="digits", clip=0.5, bias=True)
    assert free["train_x"].abs().max() > 5
    assert torch.equal(bound["test_x"][:, :-1], free["test_x"].clamp(-0.5, 0.5))
    assert (bound["train_x"][:, -1] == 1).all() and metadata["inputs"] == 65


# What determines them.


def test_the_seed_alone_determines_the_split_and_all_determines_the_file(tmp_path):
    first, metadata = made(source="digits")
    for file in ("a", "b"):
        write_tensors(tmp_path / file, *made(source="digits"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert metadata["checksum"] != made(source="digits", seed=1)[1]["checksum"]
    assert metadata["source_checksum"] == made(source="digits", seed=1, bias=True)[1]["source_checksum"]
    for options in ({"scaling": "unit"}, {"clip": 1.0}, {"bias": True}):
        other, _ = made(source="digits", **options)
        assert torch.equal(first["train_y"], other["train_y"]) and torch.equal(first["test_y"], other["test_y"])
    assert not torch.equal(first["train_y"], made(source="digits", seed=1)[0]["train_y"])


@pytest.mark.parametrize("size", [1, 100, 1796])
def test_a_test_size_is_taken_literally(size):
    tensors, metadata = made(source="digits", test_size=size)
    assert len(tensors["test_y"]) == metadata["test_size"] == size
    assert len(tensors["train_y"]) == metadata["train_size"] == 1797 - size


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"source": "digits", "classes": [3, 11]}, "no class 11; its classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"source": "digits", "classes": [-1, 3]}, "digits has no class -1"),
        ({"source": "diabetes", "classes": [0, 1]}, "diabetes is a regression source"),
        ({"source": "iris", "test_size": 150}, "test_size is 150, but iris has at most 149 rows"),
        ({"source": "iris", "classes": [0, 1], "test_size": 100}, "at most 99 rows"),
    ],
)
def test_options_that_do_not_fit_the_source_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        made(**options)


def regression(train_y, test_y=(0.0, 1.0)):
    x = np.arange(2.0 * len(train_y)).reshape(-1, 2)
    return Raw(
        kind="regression",
        train_x=x,
        train_y=np.array(train_y),
        test_x=x[: len(test_y)],
        test_y=np.array(test_y),
        verified="structure",
    )


@pytest.mark.parametrize("value", [0.1, 3.0])  # the mean of seven times 0.1 is not exactly 0.1
def test_a_target_that_does_not_vary_is_refused(value, monkeypatch):
    give(monkeypatch, regression([value] * 7))
    with pytest.raises(UserError, match=f"all training rows of toy have the target {value:g}, .*; choose another"):
        made(source="toy")


@pytest.mark.parametrize(("size", "sd"), [(1e-200, "0"), (1e200, "inf")])
def test_targets_whose_sd_is_no_number_are_refused(size, sd, monkeypatch):
    give(monkeypatch, regression([size, -size, size, size, 3 * size, -size, 2 * size]))
    with pytest.raises(UserError, match=f"the targets of toy have the sd {sd} in float64; scale them"):
        made(source="toy")


def test_one_training_row_has_no_scale():
    with pytest.raises(UserError, match="all training rows of diabetes have the target"):
        made(source="diabetes", test_size=441)


def test_a_test_part_may_lack_the_highest_class(monkeypatch):
    x = np.arange(12.0).reshape(6, 2)
    labels = {"train_y": np.array([0, 1, 2, 0, 1, 2]), "test_y": np.array([1, 0])}
    give(monkeypatch, Raw(kind="classification", train_x=x, test_x=x[:2], verified="structure", **labels))
    for classes, expected in ((None, [0, 1]), ([2, 0], [1]), ([0, 2], [0])):
        tensors, _ = made(source="toy", classes=classes)
        assert sorted(tensors["test_y"].tolist()) == expected


def test_a_test_part_has_a_row_at_least(monkeypatch):
    x = np.arange(12.0).reshape(6, 2)
    labels = {"train_y": np.array([0, 1, 2, 0, 1, 2]), "test_y": np.array([1, 1])}
    give(monkeypatch, Raw(kind="classification", train_x=x, test_x=x[:2], verified="structure", **labels))
    with pytest.raises(UserError, match="toy has too few rows for a test part; choose other classes or another source"):
        made(source="toy", classes=[0, 2])


@pytest.mark.parametrize("source", ["digits", "diabetes"])
def test_a_split_is_what_the_seed_plus_its_number_makes(source, tmp_path):
    path = tmp_path / "it.safetensors"
    write_tensors(path, *prepare("it", Options(source=source, seed=3), tmp_path, False, [2, 1]))
    prepared = load(path)
    assert [own["split"] for own in prepared.metadata["splits"]] == [0, 1, 2]
    for split in (0, 1, 2):
        tensors, metadata = made(source=source, seed=3 + split)
        found = prepared.split(split)
        assert all(torch.equal(tensor, getattr(found, name)) for name, tensor in tensors.items())
        assert found.checksum == prepared.checksum(split) == metadata["checksum"]
        assert found.metadata.get("target_mean") == metadata.get("target_mean")


def test_split_0_does_not_depend_on_the_others(tmp_path):
    alone, facts = made(source="diabetes")
    tensors, metadata = prepare("it", Options(source="diabetes"), tmp_path, False, [1])
    assert all(torch.equal(tensors[name], tensor) for name, tensor in alone.items())
    assert metadata | {"splits": facts["splits"]} == facts
    assert metadata["splits"][:1] == facts["splits"]


def test_a_split_that_the_file_lacks_is_named(tmp_path):
    path = tmp_path / "it.safetensors"
    write_tensors(path, *prepare("it", Options(source="iris"), tmp_path, False, [4]))
    with pytest.raises(UserError, match=r"it.safetensors lacks split 1 \(it has 0, 4\); run snakemake, which makes it"):
        load(path).split(1)
