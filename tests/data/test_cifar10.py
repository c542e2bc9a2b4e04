"""CIFAR-10: what is read, and that a changed file is refused before it can run code."""

import dataclasses
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.data.sources import fetching
from ranktwo.errors import UserError
from ranktwo.store import registry

pytestmark = pytest.mark.filterwarnings("error")


def made(folder=Path("nowhere"), **options):
    return prepare("it", Options(**options), folder, download=False)


def rows_of(tensors, part):
    return zip(tensors[f"{part}_x"].tolist(), tensors[f"{part}_y"].tolist(), strict=True)


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
    entry = registry.entries("source")["cifar10"]
    small = dataclasses.replace(entry, settings=entry.settings | {"rows": (20, 6)})
    monkeypatch.setitem(registry.entries("source"), "cifar10", small)
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
