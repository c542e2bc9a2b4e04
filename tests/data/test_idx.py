"""MNIST and the sets in its format: what is read, and that bad files are refused in one sentence."""

import dataclasses
import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from support import REAL_DATA, needs_real

from ranktwo.data.dataset import load
from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.data.sources import fetching, mnist
from ranktwo.data.sources import idx as image_files
from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.store.files import write_tensors

pytestmark = pytest.mark.filterwarnings("error")


def made(folder=Path("nowhere"), **options):
    return prepare("it", Options(**options), folder, download=False)


def rows_of(tensors, part):
    return zip(tensors[f"{part}_x"].tolist(), tensors[f"{part}_y"].tolist(), strict=True)


def declare(monkeypatch, name, **facts):
    """Let a source declare other facts, as those of a small set of files."""
    entry = registry.entries("source")[name]
    monkeypatch.setitem(registry.entries("source"), name, dataclasses.replace(entry, settings=entry.settings | facts))


def flipped(content, at):
    """`content` with the lowest bit of one byte flipped."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


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
    declare(monkeypatch, "fashion-mnist", rows=(40, 20))
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


@pytest.mark.parametrize("scaling", ["none", "feature"])
def test_a_split_of_a_source_with_a_test_part_is_another_order_of_the_training_rows(scaling, fashion, tmp_path):
    folder, options = fashion.parents[1], Options(source="fashion-mnist", scaling=scaling, seed=5)
    tensors, metadata = prepare("it", options, folder, False, [1])
    assert set(tensors) == {"train_x", "train_y", "test_x", "test_y"} and metadata["official_test"]
    write_tensors(tmp_path / "it.safetensors", tensors, metadata)
    first, second = (load(tmp_path / "it.safetensors").split(split) for split in (0, 1))
    assert torch.equal(first.test_x, second.test_x) and torch.equal(first.test_y, second.test_y)
    wanted, _ = made(folder, source="fashion-mnist", scaling=scaling, seed=6)
    assert torch.equal(second.train_y, wanted["train_y"]) and not torch.equal(second.train_y, first.train_y)
    # Sums over other orders of the rows are rounded otherwise.
    assert torch.allclose(second.train_x, wanted["train_x"], rtol=1e-5, atol=1e-5)
    assert sorted(rows_of(vars(first), "train")) == sorted(rows_of(vars(second), "train"))
    assert first.checksum != second.checksum


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
    fashion.parent.rename(fashion.parents[1] / "MNIST")
    folder = fashion.parents[1] / "MNIST" / "raw"
    declare(monkeypatch, "mnist", rows=(40, 20))
    for stem in STEMS:
        monkeypatch.setitem(mnist.SHA256, stem, hashlib.sha256((folder / stem).read_bytes()).hexdigest())
    assert made(folder.parents[1], source="mnist")[1]["verified"] == "checksum"
    rewritten(STEMS[2], lambda content: flipped(content, 400))(folder)
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte is not the published file"):
        made(folder.parents[1], source="mnist")


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
    monkeypatch.setattr(image_files, "torchvision_datasets", lambda: pytest.fail("asked torchvision"))
    (fashion / STEMS[1]).unlink()
    with pytest.raises(UserError, match=f"fashion-mnist needs .*{STEMS[1]}, which does not exist"):
        made(fashion.parents[1], source="fashion-mnist")


def test_torchvision_is_imported_beside_any_torch_and_twice():
    first = fetching.torchvision_datasets()
    assert fetching.torchvision_datasets() is first
    assert {"MNIST", "FashionMNIST", "KMNIST", "CIFAR10"} <= set(dir(first))
    for name in ("MNIST", "FashionMNIST", "KMNIST"):  # the names of files that we share with torchvision
        assert {file for file, _ in getattr(first, name).resources} == {f"{stem}.gz" for stem in STEMS}
    assert set(mnist.SHA256) == set(STEMS)


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
