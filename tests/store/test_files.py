"""Files are whole or absent, and what is damaged is never read as good."""

import math
import os
import platform
import random
import subprocess
import sys
import time

import pyarrow
import pytest
import safetensors.torch
import torch

from ranktwo.errors import UserError
from ranktwo.store import files
from ranktwo.store.files import PATIENCE

METADATA = {"provenance": {"stage": "gaps"}}
TABLE = pyarrow.table(
    {"a": [1.0, None], "b": [[1.0, 2.0], None], "c": [True, None], "d": ["x", None], "e": [[1], []], "f": [None, 2]}
)


def test_parquet_and_tensors_come_back_with_their_metadata(tmp_path):
    files.write_parquet(tmp_path / "t.parquet", TABLE, METADATA)
    table, metadata = files.read_parquet(tmp_path / "t.parquet", "gaps")
    assert table.to_pylist() == TABLE.to_pylist()
    assert metadata == METADATA == files.read_metadata(tmp_path / "t.parquet")
    tensors = {"x": torch.arange(6.0).view(2, 3).T} | {name: torch.zeros(1) for name in "zyabdc"}
    files.write_tensors(tmp_path / "t.safetensors", tensors, {"k": 2})
    back, metadata = files.read_tensors(tmp_path / "t.safetensors")
    assert torch.equal(back["x"], tensors["x"])
    assert list(back) == sorted(tensors)
    assert metadata == {"k": 2} == files.read_metadata(tmp_path / "t.safetensors")
    assert sorted(os.listdir(tmp_path)) == ["t.parquet", "t.safetensors"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    with files.replacing(tmp_path / "new") as temporary:
        temporary.write_text("x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    sentence = "cannot write .*under: File exists; choose another folder"
    with pytest.raises(UserError, match=sentence), files.replacing(tmp_path / "file" / "under"):
        pass


def read_table(path):
    return files.read_parquet(path, "gaps")


@pytest.mark.parametrize("reader", [read_table, files.read_tensors])
@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1", None, "truncated"])
def test_a_damaged_or_absent_file_is_one_sentence_and_is_put_aside(tmp_path, reader, content):
    path = tmp_path / "file"
    if content == "truncated":
        write_large(path, reader)
        path.write_bytes(path.read_bytes()[:-20])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="does not exist" if content is None else "is damaged or was not written"):
        reader(path)
    assert os.listdir(tmp_path) == ([] if content is None else ["file.damaged"])


def write_large(path, reader) -> None:
    numbers = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    if reader is read_table:
        files.write_parquet(path, pyarrow.table({"a": numbers.double().numpy()}), METADATA)
    else:
        files.write_tensors(path, {"x": numbers}, METADATA)


@pytest.mark.parametrize("reader", [read_table, files.read_tensors])
def test_no_flipped_bit_is_read_as_good(tmp_path, reader):
    """A file with a flipped bit is refused, or what is read is what was written."""
    write_large(tmp_path / "good", reader)
    content, good = (tmp_path / "good").read_bytes(), reader(tmp_path / "good")
    chance, refused, path = random.Random(0), 0, tmp_path / "bad"
    for _ in range(300):
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        try:
            found = reader(path)
        except UserError:
            refused += 1
            continue
        assert found[1] == good[1]
        if reader is read_table:
            assert found[0].equals(good[0])
        else:
            assert torch.equal(found[0]["x"], good[0]["x"])
    assert refused > 250


def test_a_file_of_somebody_else_or_of_another_stage_is_refused(tmp_path):
    """And left where it is: somebody may have named the wrong file."""
    pyarrow.parquet.write_table(TABLE, tmp_path / "other.parquet")
    with pytest.raises(UserError, match="was not written by ranktwo; name another file"):
        read_table(tmp_path / "other.parquet")
    files.write_parquet(tmp_path / "spectra.parquet", TABLE, {"provenance": {"stage": "spectra"}})
    with pytest.raises(UserError, match="was made by the stage spectra, not by gaps; name another file"):
        read_table(tmp_path / "spectra.parquet")
    for metadata in (None, {"format": "pt"}):
        safetensors.torch.save_file({"x": torch.ones(2)}, tmp_path / "model.safetensors", metadata)
        with pytest.raises(UserError, match="was not written by ranktwo; name another file"):
            files.read_tensors(tmp_path / "model.safetensors")
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors", "other.parquet", "spectra.parquet"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_neither_written_nor_read(tmp_path, monkeypatch, value):
    table = pyarrow.table({"a": [[1.0], [value]]})
    with pytest.raises(AssertionError):
        files.write_parquet(tmp_path / "file", table, METADATA)
    monkeypatch.setattr(files, "_all_finite", lambda table: True)
    files.write_parquet(tmp_path / "file.parquet", table, METADATA)
    monkeypatch.undo()
    with pytest.raises(UserError, match="not finite"):
        read_table(tmp_path / "file.parquet")


# Writers that were killed, and writers at once.


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = platform.node()
    left = {
        f".t.{host}-{dead.pid}.abc.tmp.parquet": False,
        f".t.{host}-{os.getpid()}.abc.tmp.parquet": True,
        ".t.elsewhere-1.abc.tmp.parquet": True,
        f".other.{host}-{dead.pid}.abc.tmp.parquet": True,
        "t.parquet.damaged": True,
    }
    for name in left:
        (tmp_path / name).write_text("")
    old = tmp_path / ".t.elsewhere-2.abc.tmp.parquet"
    old.write_text("")
    os.utime(old, (time.time() - 2 * PATIENCE,) * 2)
    files.write_parquet(tmp_path / "t.parquet", TABLE, METADATA)
    assert sorted(os.listdir(tmp_path)) == sorted(["t.parquet", *(name for name, stays in left.items() if stays)])


WRITER = """
import sys, pyarrow, torch
from pathlib import Path
from ranktwo.store import files
number = int(sys.argv[2])
for _ in range(60):
    files.write_tensors(Path(sys.argv[1]), {"x": torch.full((50_000,), float(number))}, {"n": number})
"""


@pytest.mark.slow
def test_a_reader_sees_one_whole_file_whoever_writes(tmp_path):
    path = tmp_path / "file.safetensors"
    files.write_tensors(path, {"x": torch.full((50_000,), 0.0)}, {"n": 0})
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)]) for number in (1, 2)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        tensors, metadata = files.read_tensors(path)
        assert (tensors["x"] == metadata["n"]).all()
        seen.add(metadata["n"])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen >= {1, 2}
    assert os.listdir(tmp_path) == ["file.safetensors"]


FULL = """
import resource, signal, sys, pyarrow, torch
from pathlib import Path
from ranktwo.store import files
from ranktwo.errors import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
x = torch.randn(100_000)
write = {
    "parquet": lambda path: files.write_parquet(path, pyarrow.table({"x": x.numpy()}), {}),
    "safetensors": lambda path: files.write_tensors(path, {"x": x}, {}),
}
path = Path(sys.argv[1])
run(lambda: write[path.suffix[1:]](path))
"""


@pytest.mark.parametrize("kind", ["parquet", "safetensors"])
def test_no_space_left_is_one_sentence_and_the_old_file_stays(tmp_path, kind):
    path = tmp_path / f"file.{kind}"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"ranktwo: cannot write {path}: ")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_results_folder_that_cannot_be_is_one_sentence(tmp_path, monkeypatch):
    files.check_folder(tmp_path / "not" / "yet")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file; choose another folder"):
        files.check_folder(tmp_path / "file" / "under")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="cannot be written; choose another folder"):
        files.check_folder(tmp_path / "not" / "yet")


SCRIPT = """
from pathlib import Path
from ranktwo.errors import UserError, run
import sys
def main():
    print("a line", file=sys.stderr)
    print("\\rlive", end="", file=sys.stderr)
    {end}
run(main, Path(sys.argv[1]) if sys.argv[1:] else None)
"""


def command(end: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", SCRIPT.format(end=end), *arguments], capture_output=True, text=True)


def test_a_user_error_is_a_sentence_on_standard_error_and_in_the_log(tmp_path):
    done = command('raise UserError("what, where, what to do")', str(tmp_path / "a" / "log"))
    assert done.returncode == 1
    assert "ranktwo: what, where, what to do" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "a" / "log").read_text() == "a line\nranktwo: what, where, what to do\n"


def test_an_error_of_ours_has_its_traceback_in_the_log_alone(tmp_path):
    done = command("1 / 0", str(tmp_path / "log"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{tmp_path / 'log'} has its traceback" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_a_log_on_a_full_disk_keeps_no_sentence_from_the_terminal():
    """/dev/full takes every file and refuses every byte."""
    done = command('raise UserError("what, where, what to do")', "/dev/full")
    assert done.returncode == 1
    assert "ranktwo: what, where, what to do" in done.stderr
    assert "Traceback" not in done.stderr
    done = command("1 / 0", "/dev/full")
    assert "Traceback" not in done.stderr
    assert "ZeroDivisionError" in done.stderr
