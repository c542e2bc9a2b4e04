"""Compiled functions are kept in files that no crash, no full disk and no other process can spoil."""

import importlib
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support import ROOT

numba = pytest.importorskip("numba", reason="numba is not installed")
compiling = importlib.import_module("ranktwo.compiling")

SQUARES = """
def squares(x):
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i] * x[i]
    return total
"""
X = np.arange(5, dtype=np.float32)


@pytest.fixture
def module(tmp_path, monkeypatch) -> ModuleType:
    """A module of one function, in a folder of its own."""
    (tmp_path / "made_up.py").write_text(SQUARES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_up", raising=False)
    return importlib.import_module("made_up")


def kept(module: ModuleType) -> list[Path]:
    """The files of what was compiled."""
    return sorted(Path(module.__file__).parent.glob("__pycache__/*.nbc"))


def found(module: ModuleType, x: np.ndarray = X) -> bool:
    """Whether a new process would find the function compiled for x; in any case it gives the right sum."""
    function = compiling.compiled(module.squares)
    assert function(x) == 30
    return bool(function.stats.cache_hits)


def test_a_function_is_compiled_once_for_each_type(module):
    for x in (X, X.astype(np.float64), X.astype(np.int64)):
        assert not found(module, x)
    assert len(kept(module)) == 3
    for x in (X, X.astype(np.float64), X.astype(np.int64)):
        assert found(module, x)


def flipped(content: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def test_a_file_that_a_crash_or_a_disk_has_damaged_is_made_anew(module):
    """Cut anywhere, with blocks of zeros as after a power cut, or with a flipped bit."""
    assert not found(module)
    [path] = kept(module)
    good = path.read_bytes()
    damaged = [good[:length] for length in (0, 10, 32, 33, len(good) // 2, len(good) - 1)]
    damaged += [good[:4096] + bytes(len(good) - 4096), bytes(len(good)), b"junk"]
    damaged += [flipped(good, seed) for seed in range(5)]
    for content in damaged:
        path.write_bytes(content)
        assert not found(module)
        assert found(module)
    assert kept(module) == [path]


def test_an_edit_of_the_source_replaces_what_was_compiled(module):
    assert not found(module)
    path = Path(module.__file__)
    path.write_text(SQUARES.replace("total += x[i] * x[i]", "total += x[i] * x[i] + 0"))
    assert not found(importlib.reload(module))
    assert found(module)
    assert len(kept(module)) == 1


def test_a_folder_that_cannot_keep_what_is_compiled_stops_nothing(module):
    """The folder is there when the function is declared, and a file is in its place when the function is compiled."""
    function = compiling.compiled(module.squares)
    shutil.rmtree(function.stats.cache_path)
    Path(function.stats.cache_path).write_text("")
    assert function(X) == 30


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_stops_nothing_and_leaves_nothing(module):
    folder = Path(module.__file__).parent / "__pycache__"
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        assert not found(module)
        assert not found(module)
        assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


SETTINGS = """
import os
from ranktwo import compiling
from ranktwo.training.backends import kernels
from numba.core import config
print(config.DISABLE_JIT, config.CPU_NAME, sorted(name for name in os.environ if name.startswith("NUMBA_")))
print(type(kernels.steps).__name__)
"""


@pytest.mark.slow
def test_what_the_user_sets_for_numba_elsewhere_changes_no_code(tmp_path):
    variables = {"NUMBA_DISABLE_JIT": "1", "NUMBA_CPU_NAME": "generic", "NUMBA_NUM_THREADS": "many"}
    variables |= {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\ncpu_name: generic\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables
    command = [sys.executable, "-c", SETTINGS]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["0 None ['NUMBA_CACHE_DIR']", "CPUDispatcher"], done.stderr
    assert done.stderr == ""
