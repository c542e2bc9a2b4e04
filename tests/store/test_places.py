"""Odd file systems and folders: what cannot be written is said with its cause, and no lock waits for nobody."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from ranktwo.errors import UserError
from ranktwo.store import files

# What the system refuses, and where.


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device; free some space there"),
        (errno.EDQUOT, "quota exceeded; free some space there"),
        (errno.EROFS, "Read-only file system; choose another folder"),
        (errno.EACCES, "Permission denied; change its rights"),
        (errno.ENAMETOOLONG, "File name too long; choose a folder with a shorter name"),
        (errno.EIO, "Input/output error; choose another folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_with_its_cause(tmp_path, monkeypatch, number, remedy):
    def refused(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    path = tmp_path / "file"
    with pytest.raises(UserError, match=f"^cannot write {path}: .*{remedy}"), files.replacing(path) as temporary:
        temporary.write_text("x")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_elsewhere_is_named_and_not_the_folder_of_results(tmp_path):
    """/dev/full refuses every byte; a file under a file cannot be made."""
    (tmp_path / "cache").write_text("")
    other = tmp_path / "cache" / "fonts"
    with pytest.raises(UserError, match=f"cannot write {other}: Not a directory"), files.replacing(tmp_path / "file"):
        other.write_text("x")
    assert os.listdir(tmp_path) == ["cache"]


def test_tensors_that_cannot_be_written_are_said_with_the_system_s_cause(tmp_path, monkeypatch):
    import safetensors.torch
    import torch

    def full(tensors: object, path: object, metadata: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(UserError, match="file: No space left on device; free some space there"):
        files.write_tensors(tmp_path / "file", {"x": torch.zeros(3)}, {})


def test_a_folder_of_results_that_is_a_link_to_nowhere_is_said_with_its_target(tmp_path):
    link = tmp_path / "results"
    link.symlink_to(tmp_path / "purged" / "by the cluster")
    for folder in (link, link / "study"):
        with pytest.raises(UserError, match=f"results is {folder}, but {link} is a link to .*purged/by the cluster, "):
            files.check_folder(folder)
    (tmp_path / "purged" / "by the cluster").mkdir(parents=True)
    files.check_folder(link)
    (link / "runs").symlink_to("gone")
    with pytest.raises(UserError, match="results/runs is a link to gone, which does not exist"):
        files.check_folder(link)
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(UserError, match="round is a link to round, "):
        files.check_folder(tmp_path / "round")


def test_names_that_no_command_or_no_file_system_takes_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="results is -out, but every command would take that for an option"):
        files.check_folder(files.Path("-out"))
    with pytest.raises(UserError, match="no folder can have so long a name"):
        files.check_folder(tmp_path / ("é" * 128))
    files.check_folder(tmp_path / ("é" * 127))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_file_system_that_is_read_only_is_said(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let a file system be mounted")
    try:
        with pytest.raises(UserError, match=f"{tmp_path} lies on a file system that is read-only"):
            files.check_folder(tmp_path / "results")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# Locks.

HOLD = """
import sys, time
from pathlib import Path
from ranktwo.store import files
with files.only_writer(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
print("out", flush=True)
"""


def test_a_second_writer_waits_until_the_first_has_ended_however_it_ends(tmp_path):
    def hold() -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "stack")], text=True, **pipes)

    first = hold()
    assert first.stdout.readline() == "in\n"
    second = hold()
    assert second.stderr.readline() == "stack: waiting for another process that is at work on it\n"
    first.kill()
    first.communicate()
    assert second.communicate("", timeout=60)[0] == "in\nout\n"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_locks_do_not_work_the_work_goes_on_with_one_sentence(tmp_path, monkeypatch, capsys, number):
    def none(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    with files.only_writer(tmp_path / "stack"), files.only_writer(tmp_path / "stack"):
        pass
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert first.startswith(f"ranktwo: locks do not work in {tmp_path / 'stack'} ({os.strerror(number)}): two runs")
    assert "mounted with flock" in first


def test_a_lock_that_cannot_be_written_is_said_with_its_cause(tmp_path):
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "lock").mkdir()
    sentence = "cannot write .*stack/lock: Is a directory"
    with pytest.raises(UserError, match=sentence), files.only_writer(tmp_path / "stack"):
        pass
