"""Files are whole or absent, and what is damaged is never read as good."""

import os
import subprocess
import sys

import pyarrow
import pytest
import torch

from ranktwo import files
from ranktwo.errors import UserError

TABLE = pyarrow.table({"a": [1.0, None], "b": [[1.0, 2.0], None]})


def test_parquet_and_tensors_come_back_with_their_metadata(tmp_path):
    files.write_parquet(tmp_path / "t.parquet", TABLE, {"k": [1]})
    table, metadata = files.read_parquet(tmp_path / "t.parquet")
    assert table.to_pylist() == TABLE.to_pylist()
    assert metadata == {"k": [1]}
    tensors = {"x": torch.arange(6.0).view(2, 3).T}
    files.write_tensors(tmp_path / "t.safetensors", tensors, {"k": 2})
    back, metadata = files.read_tensors(tmp_path / "t.safetensors")
    assert torch.equal(back["x"], tensors["x"])
    assert metadata == {"k": 2}
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
    sentence = "cannot write .*free some space or choose another folder"
    with pytest.raises(UserError, match=sentence), files.replacing(tmp_path / "file" / "under"):
        pass


@pytest.mark.parametrize("reader", [files.read_parquet, files.read_tensors])
@pytest.mark.parametrize("content", [b"", b"junk", None, "truncated"])
def test_a_damaged_or_absent_file_is_one_sentence(tmp_path, reader, content):
    path = tmp_path / "file"
    if content == "truncated":
        if reader is files.read_parquet:
            files.write_parquet(path, TABLE, {})
        else:
            files.write_tensors(path, {"x": torch.ones(100)}, {})
        path.write_bytes(path.read_bytes()[:-20])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="does not exist" if content is None else "is damaged or was not written"):
        reader(path)


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path):
    pyarrow.parquet.write_table(TABLE, tmp_path / "other.parquet")
    with pytest.raises(UserError, match="not written by ranktwo"):
        files.read_parquet(tmp_path / "other.parquet")


SCRIPT = """
from ranktwo.errors import UserError, run
import sys
def main():
    print("a line", file=sys.stderr)
    print("\\rlive", end="", file=sys.stderr)
    {end}
run(main)
"""


def command(end: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", SCRIPT.format(end=end), *arguments], capture_output=True, text=True)


def test_a_user_error_is_a_sentence_on_standard_error_and_in_the_log(tmp_path):
    done = command('raise UserError("what, where, what to do")', "--log", str(tmp_path / "a" / "log"))
    assert done.returncode == 1
    assert "ranktwo: what, where, what to do" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "a" / "log").read_text() == "a line\nranktwo: what, where, what to do\n"


def test_an_error_of_ours_has_its_traceback_in_the_log_alone(tmp_path):
    done = command("1 / 0", "--log", str(tmp_path / "log"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{tmp_path / 'log'} has its traceback" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()
