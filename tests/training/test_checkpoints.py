"""A training that was broken off goes on from its checkpoint as if nothing had happened, to the last bit."""

import os
import platform
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import a_cell, checkpoints_in, patience, steps_in, wait_for
from training_support import same

from ranktwo.data import dataset, preparation
from ranktwo.data.dataset import Dataset
from ranktwo.data.options import Options
from ranktwo.errors import SIGNALS, UserError
from ranktwo.progress import Progress
from ranktwo.store import files, records
from ranktwo.store.records import Record
from ranktwo.study.axes import Cell
from ranktwo.study.jobs import Job
from ranktwo.training import checkpoints, recording
from ranktwo.training.checkpoints import SHARE, Checkpoint
from ranktwo.training.recording import ReadState

OPTIONS = {"source": "iris"}
VARIANTS = {
    "sgd": {"label_noise": 0.2},
    "momentum": {"optimizer": "momentum", "schedule": "cosine"},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "widths": (6, 5)},
    "input-norm": {"decay_rule": "input-norm", "batch_size": 7},
    "full": {"batch_size": "full", "learning_rate": 0.2},
}


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    path = tmp_path_factory.mktemp("data") / "iris.safetensors"
    files.write_tensors(path, *preparation.prepare("toy", Options(**OPTIONS), path.parent, False))
    return dataset.load(path).split(0)


def cells(variant: str, **axes: object) -> dict[str, Cell]:
    """Four cells of a stack, one of which diverges at some time."""
    changes = [{"seed": 0}, {"seed": 1, "weight_decay": 0.1}, {"seed": 0, "learning_rate": 1e4}, {"seed": 2}]
    defaults = {"steps": 700} | VARIANTS[variant] | axes
    return {f"cell{number}": a_cell(**defaults | change) for number, change in enumerate(changes)}


def trained(wanted, data, **more) -> dict[str, Record]:
    bar = Progress("toy", 700 * len(wanted), "cell-steps")
    return recording.train(wanted, data, snapshots=6, device="cpu", progress=bar, **more)


def broken_off(wanted, data, path: Path, pauses: int, **more) -> None:
    """Train, write a checkpoint at a pause, and go no further."""
    left = pauses

    def pause(read_state: ReadState) -> None:
        nonlocal left
        left -= 1
        if not left:
            records.write_checkpoint(path, *read_state(), {})
            raise Killed

    with pytest.raises(Killed):
        trained(wanted, data, pause=pause, **more)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pauses", [[1], [3, 4], [9], [2, 2, 2, 2]])
def test_a_resumed_training_is_the_undisturbed_one_to_the_bit(variant, pauses, data, tmp_path):
    wanted = cells(variant)
    undisturbed = trained(wanted, data)
    finished, unfinished = {}, {}
    for count in pauses:
        left = {name: cell for name, cell in wanted.items() if name not in finished}
        broken_off(left, data, tmp_path / "checkpoint", count, unfinished=unfinished)
        more, unfinished = records.read_checkpoint(tmp_path / "checkpoint")
        finished |= more
    left = {name: cell for name, cell in wanted.items() if name not in finished}
    finished |= trained(left, data, unfinished=unfinished)
    for name, record in undisturbed.items():
        same(record, finished[name])
    assert [name for name, record in undisturbed.items() if record.diverged is not None] == ["cell2"]


def test_cells_of_a_checkpoint_go_on_beside_new_ones_and_without_those_no_longer_wanted(data, tmp_path):
    broken_off(cells("momentum"), data, tmp_path / "checkpoint", 5)
    _, unfinished = records.read_checkpoint(tmp_path / "checkpoint")
    assert unfinished.pop("cell1").step > 0
    wanted = cells("momentum") | {"new": a_cell(**VARIANTS["momentum"], steps=700, seed=9)}
    undisturbed = trained(wanted, data)
    for name, record in trained(wanted, data, unfinished=unfinished).items():
        same(record, undisturbed[name])


def test_slices_that_were_finished_are_in_the_checkpoint_of_a_later_one(data, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "CPU_CELLS", 1)
    wanted = cells("sgd", label_noise=0.0)
    broken_off(wanted, data, tmp_path / "checkpoint", 16)
    finished, unfinished = records.read_checkpoint(tmp_path / "checkpoint")
    assert list(finished) == ["cell0", "cell1"][: len(finished)]
    assert len(finished) >= 1
    assert len(unfinished) == 1
    undisturbed = trained(wanted, data)
    for name, record in finished.items():
        same(record, undisturbed[name])


def test_a_checkpoint_is_written_when_it_is_time_and_costs_a_share_of_the_time(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    written = []

    def write(*arguments: object) -> None:
        written.append(clock[0])
        clock[0] += 10  # a slow disk

    monkeypatch.setattr(checkpoints, "write_checkpoint", write)
    with Checkpoint(tmp_path / "file", 60, {}) as checkpoint:
        for _ in range(1000):
            clock[0] += 1
            checkpoint.pause(lambda: ({}, {}))
    assert written[0] == 160
    assert all(later - earlier >= 10 / SHARE for earlier, later in zip(written, written[1:], strict=False))
    assert len(written) >= 3


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_asks_for_a_checkpoint_and_ends_training_in_a_sentence(number, data, tmp_path):
    path, wanted = tmp_path / "checkpoint", cells("sgd")
    before = signal.getsignal(number)
    with Checkpoint(path, 1e6, {}) as checkpoint:
        count = iter(range(100))

        def pause(read_state: ReadState) -> None:
            if next(count) == 4:
                os.kill(os.getpid(), number)
            checkpoint.pause(read_state)

        with pytest.raises(UserError, match=f"stopped by {number.name} at step .* run snakemake again to go on"):
            trained(wanted, data, pause=pause)
    assert signal.getsignal(number) == before
    finished, unfinished = records.read_checkpoint(path)
    undisturbed = trained(wanted, data)
    for cell, record in (finished | trained(wanted, data, unfinished=unfinished)).items():
        same(record, undisturbed[cell])


def test_cells_that_would_be_others_today_are_not_taken_from_a_checkpoint(data, tmp_path):
    wanted, path = cells("sgd"), tmp_path / "checkpoint"
    broken_off(wanted, data, path, 3)
    with Checkpoint(path, 60, {}) as checkpoint:
        checkpoint.read(dict.fromkeys(wanted, "other"))
        assert not checkpoint.finished
        assert not checkpoint.unfinished
        checkpoint.read(dict.fromkeys(wanted, ""))
        assert checkpoint.unfinished


def test_what_a_killed_writer_left_goes_with_the_checkpoint(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".checkpoint.{platform.node()}-{dead.pid}.abcdefgh.tmp.safetensors"
    left.write_bytes(b"half")
    files.write_tensors(tmp_path / "checkpoint-0.safetensors", {}, {})
    Checkpoint(tmp_path / "checkpoint.safetensors", 60, {}).remove()
    assert not os.listdir(tmp_path)


def test_a_damaged_checkpoint_is_put_aside_and_said(tmp_path, capsys):
    path = tmp_path / "checkpoint"
    path.write_bytes(b"junk")
    with Checkpoint(path, 60, {}) as checkpoint:
        checkpoint.read({"cell0": ""})
    assert "put aside as checkpoint.damaged" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["checkpoint.damaged"]


# The command, killed.


def command(folder: Path, *arguments: str, **axes: object) -> subprocess.Popen:
    wanted = list(cells("momentum", steps=steps_in(6), dataset="toy", **axes).values())
    job = Job(stack=folder.name, options=OPTIONS, snapshots=8, cells=wanted)
    job_file = folder.parent / f"{folder.name}.json"
    job_file.write_text(job.text())
    paths = [f"--{name}={folder / name}" for name in ("weights", "history")]
    return subprocess.Popen(
        [sys.executable, "-m", "ranktwo", "train", "--job", str(job_file), "--job-hash", job.hash]
        + ["--dataset", str(folder.parent / "data"), *paths, "--device=cpu", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    prepared = preparation.prepare("toy", Options(**OPTIONS), folder, False)
    files.write_tensors(folder / "data", *prepared)
    (folder / "whole").mkdir()
    process = command(folder / "whole", "--checkpoint=1e6")
    _, said = process.communicate(timeout=patience(30))
    assert process.returncode == 0, said
    assert "4 cells trained" in said
    return folder / "whole"


def wait_for_new(folder: Path, process: subprocess.Popen, old: set[tuple[Path, int]]) -> None:
    """Wait until there is a checkpoint that there was not before, or the process is over."""
    wait_for("a checkpoint", lambda: process.poll() is not None or not checkpoints_in(folder) <= old)


def same_files(one: Path, other: Path) -> None:
    """The same numbers for every cell, and no file more."""
    whole, resumed = (records.read_records(at / "weights", at / "history") for at in (one, other))
    assert whole.keys() == resumed.keys()
    for cell, record in whole.items():
        same(record, resumed[cell])
    assert sorted(os.listdir(one)) == sorted(os.listdir(other))


@pytest.mark.slow
@pytest.mark.parametrize("name, processes", [("SIGKILL", 3), ("SIGTERM", 2), ("SIGINT", 1)])
def test_a_killed_command_goes_on_and_leaves_the_same_numbers_and_nothing_else(name, processes, undisturbed):
    folder = undisturbed.parent / f"{name}-{processes}"
    folder.mkdir()
    chance = random.Random(name)
    seen: set[tuple[Path, int]] = set()
    for _ in range(2):
        process = command(folder, "--checkpoint=0.05", f"--processes={processes}")
        wait_for_new(folder, process, seen)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=patience(6))
        assert process.returncode == (-9 if name == "SIGKILL" else 1), said
        if name != "SIGKILL":
            assert f"ranktwo: training was stopped by {name} at step" in said
            assert said.count("ranktwo:") == 1
        assert "Traceback" not in said
        seen = checkpoints_in(folder)
    # Begun by that many processes, ended by another number of them.
    process = command(folder, "--checkpoint=0.05", f"--processes={4 - processes}")
    _, said = process.communicate(timeout=patience(30))
    assert process.returncode == 0, said
    assert "from a checkpoint" in said
    same_files(undisturbed, folder)
    resumed = records.read_records(folder / "weights", folder / "history")
    assert all(len(record.runs) >= (2 if record.diverged is None else 1) for record in resumed.values())


@pytest.mark.slow
def test_one_of_several_processes_that_is_killed_stops_the_others_which_keep_what_they_have(undisturbed):
    folder = undisturbed.parent / "child"
    folder.mkdir()
    process = command(folder, "--checkpoint=0.05", "--processes=2")
    wait_for_new(folder, process, set())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=patience(6))
    assert process.returncode == 1
    assert "ranktwo: a training process ended with SIGKILL; if memory ran out, give" in said
    _, said = command(folder, "--processes=2").communicate(timeout=patience(30))
    assert "from a checkpoint" in said
    same_files(undisturbed, folder)


@pytest.mark.slow
def test_what_is_wrong_in_one_of_several_processes_is_said_once(undisturbed):
    folder = undisturbed.parent / "wrong"
    folder.mkdir()
    process = command(folder, "--processes=2", batch_size=10_000)
    _, said = process.communicate(timeout=patience(6))
    assert process.returncode == 1
    assert said.count("ranktwo:") == 1
    assert "ranktwo: batch_size 10000 is more than" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_second_writer_waits_and_finds_everything_done(undisturbed):
    folder = undisturbed.parent / "two"
    folder.mkdir()
    first = command(folder, "--checkpoint=0.05")
    wait_for_new(folder, first, set())
    first.send_signal(signal.SIGSTOP)  # it would be done before a second one has started on a slow machine
    second, heard = command(folder), ""
    while "waiting" not in heard and second.poll() is None:
        heard += second.stderr.readline()
    first.send_signal(signal.SIGCONT)
    said = [process.communicate(timeout=patience(30))[1] for process in (first, second)]
    said[1] = heard + said[1]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert "4 cells trained" in said[0]
    assert "waiting for another process" in said[1]
    assert "0 cells trained" in said[1]
    whole, twice = (records.read_records(at / "weights", at / "history") for at in (undisturbed, folder))
    for cell, record in whole.items():
        same(record, twice[cell])
