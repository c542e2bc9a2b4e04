"""A stack whose cells have several splits: each cell's numbers are those of a stack of its split alone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import a_cell
from training_support import same

from ranktwo.analysis.inputs import load_records
from ranktwo.data import dataset, preparation
from ranktwo.data.options import Options
from ranktwo.errors import UserError
from ranktwo.store import files, provenance, records
from ranktwo.store.records import Record
from ranktwo.study.grid import cell_name, identity
from ranktwo.study.jobs import Job
from ranktwo.training import checkpoints
from ranktwo.training.job import train_stack

OPTIONS = {"source": "iris"}
CELLS = [a_cell(split=split, seed=seed, label_noise=0.1 * seed, steps=400) for seed in (0, 1) for split in (1, 0)]
NAMES = [cell_name(cell, OPTIONS) for cell in CELLS]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "iris.safetensors"
    files.write_tensors(path, *preparation.prepare("toy", Options(**OPTIONS), path.parent, False, [1]))
    return path


def job_of(cells, keep="all") -> Job:
    return Job(stack="toy", options=OPTIONS, snapshots=3, keep=keep, cells=cells)


def train(cells, data: Path, folder: Path, keep="all", **more) -> dict[str, Record]:
    """The records of a stack of these cells in a folder."""
    job = job_of(cells, keep)
    paths = {name: folder / name for name in ("weights", "history")}
    train_stack(job, data=data, **paths, device="cpu", **more)
    return records.read_records(**paths)


@pytest.fixture(scope="module")
def apart(data, tmp_path_factory) -> dict[str, Record]:
    """The records of two stacks of one split each."""
    found = {}
    for split in (0, 1):
        found |= train([cell for cell in CELLS if cell.split == split], data, tmp_path_factory.mktemp("apart"))
    return found


def agree(found: dict[str, Record], apart: dict[str, Record]) -> None:
    assert list(found) == NAMES
    for name, record in found.items():
        same(record, apart[name])
        assert record.identity == apart[name].identity


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stack_of_two_splits_has_the_numbers_of_two_stacks(processes, data, apart, tmp_path):
    found = train(CELLS, data, tmp_path, processes=processes)
    agree({name: found[name] for name in NAMES}, apart)
    checksums = [dataset.load(data).checksum(split) for split in (0, 1)]
    wanted = [identity(cell, checksums[cell.split], 3) for cell in CELLS]
    assert [found[name].identity for name in NAMES] == wanted
    of_seed_0 = [found[name] for name, cell in zip(NAMES, CELLS, strict=True) if cell.seed == 0]
    for snapshot in (0, -1):
        assert not of_seed_0[0].weights["V"][snapshot].equal(of_seed_0[1].weights["V"][snapshot])


@pytest.mark.parametrize("processes", [1, 2])
def test_the_file_says_how_long_it_was_trained(processes, data, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "STARTED", datetime.now(UTC))
    found = train(CELLS, data, tmp_path, processes=processes)
    for name in ("weights", "history"):
        seconds = files.read_metadata(tmp_path / name)["provenance"]["seconds"]
        assert seconds >= max(run["seconds"] for record in found.values() for run in record.runs)


def test_a_split_that_is_added_leaves_the_others_as_they_are(data, tmp_path, capsys):
    first = train([cell for cell in CELLS if cell.split == 0], data, tmp_path)
    found = train(CELLS, data, tmp_path)
    assert "2 cells trained" in capsys.readouterr().err.splitlines()[-1]
    for name, record in first.items():
        same(record, found[name])
        assert record.runs == found[name].runs


class Killed(Exception):
    pass


@pytest.mark.parametrize("pauses", [1, 4, 7, 9])
def test_a_training_of_two_splits_goes_on_from_its_checkpoint(pauses, data, apart, tmp_path, monkeypatch, capsys):
    pause, left = checkpoints.Checkpoint.pause, iter(range(pauses - 1))

    def killed(self, read_state):
        pause(self, read_state)
        if next(left, None) is None:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoints, "SHARE", 1e9)
        patch.setattr(checkpoints.Checkpoint, "pause", killed)
        train(CELLS, data, tmp_path, checkpoint=0)
    finished, unfinished = records.read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert unfinished
    assert {record.cell["split"] for record in finished.values()} == ({0} if pauses > 4 else set())
    capsys.readouterr()
    found = train(CELLS, data, tmp_path)
    said = capsys.readouterr().err
    assert f"{len(CELLS) - len(finished)} cells trained" in said and "2 of them from a checkpoint" in said
    agree({name: found[name] for name in NAMES}, apart)


def test_a_split_that_the_data_set_lacks_ends_in_a_sentence(data, tmp_path):
    with pytest.raises(UserError, match="iris.safetensors lacks split 2 .it has 0, 1.; run snakemake, which makes it"):
        train([a_cell(split=2)], data, tmp_path)


def test_the_last_weights_alone_are_kept_and_every_loss(data, tmp_path, capsys):
    whole = train(CELLS, data, tmp_path)
    size = (tmp_path / "weights").stat().st_size
    capsys.readouterr()
    found = train(CELLS, data, tmp_path, keep="last")
    assert "0 cells trained" in capsys.readouterr().err.splitlines()[-1], "to forget weights nothing is trained"
    assert (tmp_path / "weights").stat().st_size < size
    for name in NAMES:
        assert found[name].steps == whole[name].steps == [0, 1, 20, 400]
        assert found[name].history == whole[name].history
        assert found[name].kept == [0, 400]
        for matrix, weights in found[name].weights.items():
            assert weights.equal(whole[name].weights[matrix][[0, -1]])
    analysed = load_records(job_of(CELLS, "last"), tmp_path / "weights", tmp_path / "history")
    for name, record in analysed.items():
        assert record.steps == [0, 400]
        assert record.history["train_loss"] == [whole[name].history["train_loss"][row] for row in (0, -1)]
        assert all(len(weights) == 2 for weights in record.weights.values())
    train(CELLS[:2], data, tmp_path, keep="last")
    assert "0 cells trained" in capsys.readouterr().err.splitlines()[-1]
    again = train(CELLS, data, tmp_path)
    assert f"{len(CELLS)} cells trained" in capsys.readouterr().err.splitlines()[-1]
    for name in NAMES:
        same(again[name], whole[name])
