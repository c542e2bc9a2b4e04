"""The prepared file: a checksum that holds everywhere, and no damage that goes unseen."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from ranktwo.data import dataset, labels
from ranktwo.data.dataset import load
from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.errors import UserError
from ranktwo.store.files import read_tensors, write_tensors

pytestmark = pytest.mark.filterwarnings("error")


def made(folder=Path("nowhere"), **options):
    return prepare("it", Options(**options), folder, download=False)


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
    assert dataset.checksum_of(arrays) == dataset.checksum_of(turned) == expected.hexdigest()


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
        (lambda p: rewrite(p, splits=[{}]), "not a prepared data set"),
        (lambda p: rewrite(p, tensors={"train_x": torch.zeros(0)}), "other shapes"),
        (lambda p: write_tensors(p, {"w": torch.zeros(2)}, {"name": "it"}), "not a prepared data set"),
        (lambda p: write_tensors(p, {"w": torch.zeros(2)}, []), "not a prepared data set"),
    ],
)
def test_a_damaged_prepared_file_is_refused(damage, sentence, tmp_path):
    path = tmp_path / "it.safetensors"
    write_tensors(path, *made(source="iris"))
    load(path).split(0)
    damage(path)
    with pytest.raises(UserError, match=sentence):
        load(path).split(0)


def flipped(content, at):
    """`content` with the lowest bit of one byte flipped."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_analyses_read_the_same_numbers_in_float64(tmp_path):
    path = tmp_path / "it.safetensors"
    write_tensors(path, *made(source="iris"))
    single, double = load(path).split(0), load(path).split(0, torch.float64)
    for part in ("train_x", "test_x"):
        assert getattr(double, part).dtype == torch.float64
        assert torch.equal(getattr(double, part), getattr(single, part).double())
    assert torch.equal(double.train_y, single.train_y) and double.checksum == single.checksum


def test_a_cell_was_trained_on_its_first_rows_with_its_noise(tmp_path):
    path = tmp_path / "it.safetensors"
    write_tensors(path, *made(source="iris"))
    data = load(path).split(0)
    cell = {"train_size": 50, "label_noise": 0.2, "split": 0, "seed": 7}
    x, y = dataset.training_data(cell, data)
    assert torch.equal(x, data.train_x[:50])
    assert not torch.equal(y, dataset.training_data(cell | {"split": 1}, data)[1])
    assert torch.equal(y, labels.noisy_targets(data.train_y[:50], "multiclass", 3, 0.2, 7))
    assert (y.argmax(1) != data.train_y[:50]).sum() == 10
