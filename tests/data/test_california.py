"""California Housing: what is read, and that its pickle is never unpickled."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from support import REAL_DATA, needs_real

from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.data.sources import california as housing
from ranktwo.data.sources.base import read
from ranktwo.errors import UserError
from ranktwo.store import registry

pytestmark = pytest.mark.filterwarnings("error")


def made(folder=Path("nowhere"), **options):
    return prepare("it", Options(**options), folder, download=False)


def flipped(content, at):
    """`content` with the lowest bit of one byte flipped."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def california(tmp_path, monkeypatch):
    """A small California Housing of 30 rows, written as scikit-learn writes its cache."""
    import joblib

    raw = np.random.default_rng(0).uniform(1, 9, (30, 9))
    values = raw[:, [8, 7, 2, 3, 4, 5, 6, 1, 0]]
    path = tmp_path / "cal_housing_py3.pkz"
    joblib.dump(values, path, compress=6)
    monkeypatch.setattr(housing, "SHA256", hashlib.sha256(values.tobytes("F")).hexdigest())
    entry = registry.entries("source")["california"]
    small = dataclasses.replace(entry, settings=entry.settings | {"rows": (30,)})
    monkeypatch.setitem(registry.entries("source"), "california", small)
    return path


def test_california_is_what_scikit_learn_reads(california):
    from sklearn.datasets import fetch_california_housing

    x, y = fetch_california_housing(data_home=california.parent, download_if_missing=False, return_X_y=True)
    raw = read("california", california.parent, False)
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


@needs_real("cal_housing_py3.pkz")
def test_real_california():
    from sklearn.datasets import fetch_california_housing

    tensors, metadata = made(REAL_DATA, source="california", clip=5, bias=True)
    assert (metadata["train_size"], metadata["test_size"], metadata["verified"]) == (15480, 5160, "checksum")
    assert abs(metadata["target_mean"] - 2.0686) < 0.02 and abs(metadata["target_std"] - 1.154) < 0.02
    assert tensors["train_x"].shape[1] == 9 and tensors["train_x"].abs().max() == 5
    x, y = fetch_california_housing(data_home=REAL_DATA, download_if_missing=False, return_X_y=True)
    raw = read("california", REAL_DATA, False)
    assert np.array_equal(raw.train_x, x) and np.array_equal(raw.train_y, y)
