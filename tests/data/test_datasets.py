"""Data sets: what the tensors hold, what determines them, and that bad data are refused in one sentence."""

import dataclasses
import gzip
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REAL_DATA, needs_real

from ranktwo.data import dataset
from ranktwo.data.dataset import load
from ranktwo.data.options import Options, read_options
from ranktwo.data.preparation import prepare
from ranktwo.data.sources import fetching
from ranktwo.data.sources.base import Raw, SOURCES
from ranktwo.data.sources.published import PUBLISHED
from ranktwo.errors import UserError
from ranktwo.store.files import read_tensors, write_tensors




pytestmark = pytest.mark.filterwarnings("error")


def made(folder=Path("nowhere"), **options):
    return prepare("it", Options(**options), folder, download=False)


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in ("train_x", "train_y", "test_x", "test_y"))


def command(folder, output, source):
    """Exit status and error output of the real command."""
    options = source if source.startswith(("{", "[")) else json.dumps({"source": source})
    flags = ["--name", "it", "--options", options, "--folder", folder, "--output", output, "--no-download"]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ranktwo.datasets", *map(str, flags)], capture_output=True, text=True
    )
    assert result.stdout == ""
    return result.returncode, result.stderr


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
    dataset = load(tmp_path / "it.safetensors")
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


def rows_of(tensors, part):
    return zip(tensors[f"{part}_x"].tolist(), tensors[f"{part}_y"].tolist(), strict=True)


def test_regression_targets_return_to_their_units():
    from sklearn.datasets import load_diabetes

    tensors, metadata = made(source="diabetes")
    values = torch.cat([tensors["train_y"], tensors["test_y"]]) * metadata["target_std"] + metadata["target_mean"]
    assert np.allclose(np.sort(values.numpy().ravel()), np.sort(load_diabetes().target), atol=1e-3)


def test_the_metadata_are_complete():
    _, metadata = made(source="diabetes", clip=3, bias=True)
    assert set(metadata) == {
        *("name", "source", "options", "task", "inputs", "outputs", "classes", "train_size", "test_size"),
        "critical_decay",
        *("preprocessing", "source_checksum", "verified", "checksum", "target_mean", "target_std"),
    }
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
    assert metadata["preprocessing"] == "Classes 8, 3; features as in the source; rows in the random order of seed 0."


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
    raw = Raw(
        kind="regression", train_x=x, train_y=x[:, 1], test_x=test_x, test_y=test_x[:, 1], verified="structure"
    )
    monkeypatch.setitem(SOURCES, "toy", lambda name, folder, download: raw)
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


def test_the_checksum_is_the_same_on_every_machine():
    """Golden: update it only if what a prepared file holds changes on purpose, which retrains every study."""
    arrays = {"train_x": np.arange(6, dtype=np.float32).reshape(2, 3), "train_y": np.array([0, 1])}
    expected = hashlib.sha256(
        b"train_x (2, 3) <f4;"
        + arrays["train_x"].astype("<f4").tobytes()
        + b"train_y (2,) <i8;"
        + bytes(8)
        + b"\1"
        + bytes(7)
    )
    turned = {"train_x": np.asfortranarray(arrays["train_x"]).astype(">f4"), "train_y": torch.tensor([0, 1])}
    assert dataset.fingerprint(arrays) == dataset.fingerprint(turned) == expected.hexdigest()


@pytest.mark.parametrize("size", [1, 100, 1796])
def test_a_test_size_is_taken_literally(size):
    tensors, metadata = made(source="digits", test_size=size)
    assert len(tensors["test_y"]) == metadata["test_size"] == size
    assert len(tensors["train_y"]) == metadata["train_size"] == 1797 - size


# Options that make no sense.


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[]", 'must be a JSON object with a "source"'),
        ('{"scaling": "unit"}', 'must be a JSON object with a "source"'),
        ('{"source": "digit"}', "unknown source digit, did you mean digits[?] known are digits, diabetes"),
        ('{"source": ["digits"]}', "unknown source"),
        ('{"source": "digits", "scalling": "unit"}', "unknown option scalling, did you mean scaling[?]"),
        ('{"source": "digits", "scaling": "units"}', 'scaling must be one of feature, global, unit, none, not "units"'),
        ('{"source": "digits", "classes": [3]}', "classes must be null or a list of at least two different"),
        ('{"source": "digits", "classes": [3, 3]}', "classes must be"),
        ('{"source": "digits", "classes": ["3", "8"]}', "classes must be"),
        ('{"source": "digits", "classes": [0, true]}', "classes must be"),
        ('{"source": "digits", "test_size": 0}', "test_size must be"),
        ('{"source": "digits", "test_size": 44.5}', "test_size must be"),
        ('{"source": "digits", "clip": 0}', "clip must be null or a positive number, not 0"),
        ('{"source": "digits", "clip": NaN}', "clip must be"),
        ('{"source": "digits", "bias": 1}', "bias must be true or false, not 1"),
        ('{"source": "digits", "seed": -1}', "seed must be"),
    ],
)
def test_options_that_are_not_known_are_refused(text, sentence):
    with pytest.raises(UserError, match=sentence):
        read_options(text)


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


# The prepared file, damaged.


def rewrite(path, *, tensors=None, **changes):
    """Write a prepared file again with other tensors or metadata, as no honest writer would."""
    held, metadata = read_tensors(path)
    write_tensors(path, {**held, **(tensors or {})}, {**metadata, **changes})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-5] + b"\1" + p.read_bytes()[-4:]), "another checksum"),
        (lambda p: p.write_bytes(flipped(p.read_bytes(), len(p.read_bytes()) // 2)), "another checksum"),
        (lambda p: p.write_bytes(p.read_bytes()[:-8]), "damaged"),
        (lambda p: p.unlink(), "does not exist"),
        (lambda p: rewrite(p, inputs=5), "other shapes"),
        (lambda p: rewrite(p, task="regression"), "other shapes"),
        (lambda p: rewrite(p, outputs=2), "labels that are no class"),
        (lambda p: rewrite(p, tensors={"test_y": torch.zeros(38)}), "other types"),
        (lambda p: rewrite(p, tensors={"train_x": torch.full((112, 4), torch.nan)}), "not finite"),
        (lambda p: rewrite(p, tensors={"test_x": torch.zeros(38, 4)}), "checksum differs"),
        (lambda p: rewrite(p, tensors={"more": torch.zeros(1)}), "not a prepared data set"),
        (lambda p: write_tensors(p, {"w": torch.zeros(2)}, {"name": "it"}), "not a prepared data set"),
        (lambda p: write_tensors(p, {"w": torch.zeros(2)}, []), "not a prepared data set"),
    ],
)
def test_a_damaged_prepared_file_is_refused(damage, sentence, tmp_path):
    path = tmp_path / "it.safetensors"
    write_tensors(path, *made(source="iris"))
    load(path)
    damage(path)
    with pytest.raises(UserError, match=sentence):
        load(path)


def flipped(content, at):
    """`content` with the lowest bit of one byte flipped."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


# Files in MNIST's format.

STEMS = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def idx(array, magic=None):
    header = np.array([magic or 0x0800 + array.ndim, *array.shape], ">u4")
    return header.tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A small Fashion-MNIST, 40 + 20 images, in its real layout and format; the folder of its four files."""
    random = np.random.default_rng(0)
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, rows in (("train", 40), ("t10k", 20)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(random.integers(0, 256, (rows, 28, 28))))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(random.permutation(np.arange(rows) % 10)))
    published = dataclasses.replace(PUBLISHED["fashion-mnist"], rows=(40, 20))
    monkeypatch.setitem(PUBLISHED, "fashion-mnist", published)
    return folder


def test_the_images_are_read_and_the_sources_split_is_kept(fashion):
    tensors, metadata = made(fashion.parents[1], source="fashion-mnist", scaling="none")
    assert (metadata["train_size"], metadata["test_size"], metadata["inputs"]) == (40, 20, 784)
    assert metadata["verified"] == "structure"
    for part, stem in (("train", "train"), ("test", "t10k")):
        pixels = (fashion / f"{stem}-images-idx3-ubyte").read_bytes()[16:]
        labels = (fashion / f"{stem}-labels-idx1-ubyte").read_bytes()[8:]
        expected = [(*pixels[784 * row : 784 * row + 784], label) for row, label in enumerate(labels)]
        found = [(*row, label) for row, label in rows_of(tensors, part)]
        assert found != expected and sorted(found) == sorted(expected)


def test_a_test_subset_is_random_and_leaves_training_alone(fashion):
    whole, _ = made(fashion.parents[1], source="fashion-mnist", scaling="unit")
    part, _ = made(fashion.parents[1], source="fashion-mnist", scaling="unit", test_size=7)
    assert torch.equal(part["train_x"], whole["train_x"]) and torch.equal(part["test_x"], whole["test_x"][:7])
    with pytest.raises(UserError, match="test_size is 21, but fashion-mnist has at most 20 rows"):
        made(fashion.parents[1], source="fashion-mnist", test_size=21)


def swap_parts(folder):
    contents = {stem: (folder / stem).read_bytes() for stem in STEMS}
    for stem, other in zip(STEMS, STEMS[2:] + STEMS[:2], strict=True):
        (folder / stem).write_bytes(contents[other])


def rewritten(stem, change):
    return lambda folder: (folder / stem).write_bytes(change((folder / stem).read_bytes()))


@pytest.mark.parametrize(
    ("damage", "file", "sentence"),
    [
        (rewritten(STEMS[0], lambda content: content[:-1]), STEMS[0], "has 31359 bytes of content where it says 31360"),
        (rewritten(STEMS[0], lambda content: content + b"\0"), STEMS[0], "has 31361 bytes of content"),
        (rewritten(STEMS[0], lambda content: content[:9]), STEMS[0], "is truncated \\(9 bytes\\)"),
        (rewritten(STEMS[3], lambda content: b""), STEMS[3], "is truncated \\(0 bytes\\)"),
        (
            rewritten(STEMS[1], lambda content: b"<html>no such page</html>"),
            STEMS[1],
            "not an IDX file of 1-dimensional",
        ),
        (rewritten(STEMS[2], lambda content: b"\0\0\x0d\3" + content[4:]), STEMS[2], "magic number 0x00000d03"),
        (rewritten(STEMS[1], lambda content: content[:-1] + b"\x0a"), STEMS[1], "holds the label 10"),
        (rewritten(STEMS[1], lambda content: idx(np.arange(39) % 10)), STEMS[1], "says it holds 39 bytes where 40 are"),
        (rewritten(STEMS[1], lambda content: idx(np.zeros(40))), STEMS[1], "equally many labels"),
        (
            rewritten(STEMS[0], lambda content: idx(np.zeros((40, 14, 56)))),
            STEMS[0],
            "40 x 14 x 56 bytes where 40 x 28",
        ),
        (swap_parts, STEMS[0], "says it holds 20 x 28 x 28 bytes where 40 x 28 x 28 are expected"),
    ],
)
def test_bad_images_and_labels_are_refused(damage, file, sentence, fashion):
    damage(fashion)
    with pytest.raises(UserError, match=f"{file} .*{sentence}.*; delete it and get it again$"):
        made(fashion.parents[1], source="fashion-mnist")


def test_files_with_a_known_checksum_are_compared_with_it(fashion, monkeypatch):
    sha256 = {stem: hashlib.sha256((fashion / stem).read_bytes()).hexdigest() for stem in STEMS}
    published = dataclasses.replace(PUBLISHED["fashion-mnist"], sha256=sha256)
    monkeypatch.setitem(PUBLISHED, "fashion-mnist", published)
    assert made(fashion.parents[1], source="fashion-mnist")[1]["verified"] == "checksum"
    rewritten(STEMS[2], lambda content: flipped(content, 400))(fashion)
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte is not the published file"):
        made(fashion.parents[1], source="fashion-mnist")


def test_the_archives_beside_the_files_verify_them(fashion, monkeypatch):
    archives = {f"{stem}.gz": gzip.compress((fashion / stem).read_bytes()) for stem in STEMS}
    for name, content in archives.items():
        (fashion / name).write_bytes(content)
    md5s = [(name, hashlib.md5(content).hexdigest()) for name, content in archives.items()]
    monkeypatch.setattr(fetching.torchvision_datasets().FashionMNIST, "resources", md5s)
    assert made(fashion.parents[1], source="fashion-mnist")[1]["verified"] == "checksum"

    images = (fashion / STEMS[0]).read_bytes()
    (fashion / STEMS[0]).write_bytes(flipped(images, 400))
    with pytest.raises(UserError, match="train-images-idx3-ubyte is not what the archive train-images-idx3-ubyte.gz"):
        made(fashion.parents[1], source="fashion-mnist")
    (fashion / STEMS[0]).write_bytes(images)
    rewritten(f"{STEMS[0]}.gz", lambda content: content[:-20])(fashion)
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is not the published archive"):
        made(fashion.parents[1], source="fashion-mnist")


# CIFAR-10.


class Python2Pickler(pickle._Pickler):
    """Pickles arrays as Python 2 did for the published batches: dtypes with the integers 0 and 1 for false and true."""

    def reducer_override(self, value):
        if isinstance(value, np.dtype):
            return np.dtype, (value.str[1:], 0, 1), (3, "|", None, None, None, -1, -1, 0)
        return NotImplemented


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A small CIFAR-10, five batches of 4 and one of 6 images, in its real layout and format; the batches' folder."""
    published = fetching.torchvision_datasets().CIFAR10
    random = np.random.default_rng(0)
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    sizes = {**{f"data_batch_{number}": 4 for number in range(1, 6)}, "test_batch": 6}
    contents = {"batches.meta": {"label_names": list("abcdefghij")}}
    for name, size in sizes.items():
        pixels = random.integers(0, 256, (size, 3072), dtype=np.uint8)
        contents[name] = {"data": pixels, "labels": [(index + 4 * len(contents)) % 10 for index in range(size)]}
    for name, content in contents.items():
        with open(folder / name, "wb") as file:
            Python2Pickler(file, protocol=2).dump(content)
    md5s = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in contents}
    monkeypatch.setattr(published, "train_list", [[name, md5s[name]] for name in sizes if "data" in name])
    monkeypatch.setattr(published, "test_list", [["test_batch", md5s["test_batch"]]])
    monkeypatch.setattr(published, "meta", {**published.meta, "md5": md5s["batches.meta"]})
    return folder


def test_cifar_images_are_flattened_pixel_by_pixel(cifar):
    tensors, metadata = made(cifar.parent, source="cifar10", scaling="none")
    assert (metadata["train_size"], metadata["test_size"], metadata["inputs"]) == (20, 6, 3072)
    assert metadata["verified"] == "checksum"
    batch = pickle.loads((cifar / "test_batch").read_bytes())
    images = batch["data"].reshape(6, 3, 1024).transpose(0, 2, 1).reshape(6, 3072)
    expected = [(*row, label) for row, label in zip(images.tolist(), batch["labels"], strict=True)]
    assert sorted((*row, label) for row, label in rows_of(tensors, "test")) == sorted(expected)


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_changed_cifar_file_is_refused_before_it_is_unpickled(name, cifar, tmp_path):
    (cifar / name).write_bytes(pickle.dumps(Evil(tmp_path / "evil")))
    with pytest.raises(UserError, match=f"{name} is not the published file .*; delete it and get it again"):
        made(cifar.parent, source="cifar10")
    assert not (tmp_path / "evil").exists()


def test_an_absent_cifar_batch_is_named(cifar):
    (cifar / "data_batch_2").unlink()
    with pytest.raises(UserError, match="cifar10 needs .*data_batch_2, which does not exist; put the file there"):
        made(cifar.parent, source="cifar10")


# California Housing.


@pytest.fixture
def california(tmp_path, monkeypatch):
    """A small California Housing of 30 rows, written as scikit-learn writes its cache."""
    import joblib

    raw = np.random.default_rng(0).uniform(1, 9, (30, 9))
    values = raw[:, [8, 7, 2, 3, 4, 5, 6, 1, 0]]
    path = tmp_path / "cal_housing_py3.pkz"
    joblib.dump(values, path, compress=6)
    sha256 = {path.name: hashlib.sha256(values.tobytes("F")).hexdigest()}
    published = dataclasses.replace(PUBLISHED["california"], rows=(30,), sha256=sha256)
    monkeypatch.setitem(PUBLISHED, "california", published)
    return path


def test_california_is_what_scikit_learn_reads(california):
    from sklearn.datasets import fetch_california_housing

    x, y = fetch_california_housing(data_home=california.parent, download_if_missing=False, return_X_y=True)
    raw = SOURCES["california"]("california", california.parent, False)
    assert np.array_equal(raw.train_x, x) and np.array_equal(raw.train_y, y) and raw.verified == "checksum"


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: np.array([evil], dtype=object)])
def test_a_cache_file_is_never_unpickled(wrap, california, tmp_path):
    import joblib

    joblib.dump(wrap(Evil(tmp_path / "evil")), california, compress=6)
    with pytest.raises(
        UserError, match="cal_housing_py3.pkz does not hold the published California Housing data; delete"
    ):
        made(california.parent, source="california")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("damage", [lambda c: c[:-200], lambda c: b"", lambda c: flipped(c, 1000), lambda c: b"<html>"])
def test_a_damaged_cache_file_is_refused(damage, california):
    california.write_bytes(damage(california.read_bytes()))
    with pytest.raises(UserError, match="cal_housing_py3.pkz does not hold"):
        made(california.parent, source="california")


def test_a_folder_in_a_files_place_is_refused(california):
    california.unlink()
    california.mkdir()
    with pytest.raises(UserError, match="cannot read .*cal_housing_py3.pkz: Is a directory"):
        made(california.parent, source="california")


# Downloads.


def fake_fetch(monkeypatch, fail):
    """Let torchvision's download write its files as it does, and fail in the middle if asked."""

    def download(root, download):
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for stem in STEMS:
            rows = 40 if "train" in stem else 20
            (raw / stem).write_bytes(idx(np.zeros((rows, 28, 28)) if "images" in stem else np.arange(rows) % 10))
            if fail:
                raise RuntimeError(f"Error downloading {stem}:\nTried http://x, got:\n<urlopen error no network>\n")

    monkeypatch.setattr(fetching.torchvision_datasets(), "FashionMNIST", download)


def test_a_download_lands_whole_and_replaces_nothing(fashion, monkeypatch):
    fake_fetch(monkeypatch, fail=False)
    kept = (fashion / STEMS[0]).read_bytes()
    (fashion / STEMS[1]).unlink()
    prepare("it", Options(source="fashion-mnist"), fashion.parents[1], download=True)
    assert (fashion / STEMS[0]).read_bytes() == kept
    assert (fashion / STEMS[1]).read_bytes() == idx(np.arange(40) % 10)
    assert sorted(path.name for path in fashion.parents[1].rglob("*") if path.is_file()) == sorted(STEMS)


def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch):
    fake_fetch(monkeypatch, fail=True)
    with pytest.raises(
        UserError, match="could not be downloaded .*urlopen error no network.*put .*train-images"
    ) as failure:
        prepare("it", Options(source="fashion-mnist"), tmp_path, download=True)
    assert "\n" not in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_fetched_unasked(fashion, monkeypatch):
    monkeypatch.setattr(datasets, "_torchvision_datasets", lambda: pytest.fail("asked torchvision"))
    (fashion / STEMS[1]).unlink()
    with pytest.raises(UserError, match=f"fashion-mnist needs .*{STEMS[1]}, which does not exist"):
        made(fashion.parents[1], source="fashion-mnist")


def test_torchvision_is_imported_beside_any_torch_and_twice():
    first = fetching.torchvision_datasets()
    assert fetching.torchvision_datasets() is first
    assert {"MNIST", "FashionMNIST", "KMNIST", "CIFAR10"} <= set(dir(first))
    for source in ("mnist", "fashion-mnist", "kmnist"):  # the names that our tables share with torchvision's
        names = {name for name, _ in getattr(first, PUBLISHED[source].loader).resources}
        assert names == {f"{stem}.gz" for stem in STEMS}


# The command.


def test_the_command_writes_one_file(tmp_path):
    output = tmp_path / "results" / "it.safetensors"
    status, error = command(tmp_path, output, '{"source": "digits", "classes": [3, 8]}')
    assert (status, error) == (0, "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [output]
    assert load(output).metadata["classes"] == [3, 8]


@pytest.mark.parametrize(
    ("source", "files", "sentence"),
    [
        ("california", {}, "needs .*cal_housing_py3.pkz.*`data_folder`.*RANKTWO_DATA.*`download: true`"),
        ("california", {"cal_housing_py3.pkz": b"x\x9cnonsense"}, "does not hold"),
        ("mnist", {f"MNIST/raw/{stem}": b"" for stem in STEMS}, r"train-images-idx3-ubyte is truncated \(0 bytes\)"),
    ],
)
def test_the_command_refuses_bad_data_in_one_sentence(source, files, sentence, tmp_path):
    folder, output = tmp_path / "data", tmp_path / "it.safetensors"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    status, error = command(folder, output, source)
    assert status == 1 and error.startswith("ranktwo: data set it: ") and error.count("\n") == 1
    assert re.search(sentence, error)
    assert {path.relative_to(folder).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(files)


# Real data.


@needs_real("MNIST/raw/train-images-idx3-ubyte")
def test_real_mnist_3_against_8():
    tensors, metadata = made(REAL_DATA, source="mnist", classes=[3, 8], scaling="global")
    assert (metadata["train_size"], metadata["test_size"], metadata["verified"]) == (
        6131 + 5851,
        1010 + 974,
        "checksum",
    )
    assert tensors["train_y"].sum() == 5851 and tensors["test_y"].sum() == 974
    assert abs(tensors["train_x"].mean()) < 1e-4 and abs(tensors["train_x"].std() - 1) < 1e-4


@needs_real("MNIST/raw/train-images-idx3-ubyte")
def test_real_mnist_as_another_set_is_refused(tmp_path):
    folder = tmp_path / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    for stem in STEMS:
        (folder / stem).symlink_to((REAL_DATA / "MNIST" / "raw" / stem).resolve())
    with pytest.raises(UserError, match="train-labels-idx1-ubyte does not hold equally many labels"):
        made(tmp_path, source="kmnist")


@needs_real("cal_housing_py3.pkz")
def test_real_california():
    from sklearn.datasets import fetch_california_housing

    tensors, metadata = made(REAL_DATA, source="california", clip=5, bias=True)
    assert (metadata["train_size"], metadata["test_size"], metadata["verified"]) == (15480, 5160, "checksum")
    assert abs(metadata["target_mean"] - 2.0686) < 0.02 and abs(metadata["target_std"] - 1.154) < 0.02
    assert tensors["train_x"].shape[1] == 9 and tensors["train_x"].abs().max() == 5
    x, y = fetch_california_housing(data_home=REAL_DATA, download_if_missing=False, return_X_y=True)
    raw = SOURCES["california"]("california", REAL_DATA, False)
    assert np.array_equal(raw.train_x, x) and np.array_equal(raw.train_y, y)
