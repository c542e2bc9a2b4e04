"""The compiled functions of a CPU: their products, the order of their sums, and where they are kept."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from support import ROOT, a_cell
from training_support import toy_data

from ranktwo.training import divergence

compiling = pytest.importorskip("ranktwo.compiling", reason="numba is not installed")
kernels, tiles = (importlib.import_module(f"ranktwo.training.backends.{name}") for name in ("kernels", "tiles"))


SHAPES = [(1, 1, 16), (3, 7, 32), (4, 16, 48), (11, 5, 96), (150, 9, 64), (9, 150, 32)]
"""Rows, terms and columns of products."""
KINDS = {"store": tiles.STORE, "relu": tiles.RELU, "mask": tiles.MASK, "add": tiles.ADD}


def in_one(*matrices: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Matrices in one array, and the place of each."""
    places = np.cumsum([0, *(matrix.size for matrix in matrices)])
    return np.concatenate([matrix.ravel() for matrix in matrices]), places.tolist()


def product(
    kind: int, a: np.ndarray, b: np.ndarray, c: np.ndarray, mask: np.ndarray, turned: bool = False
) -> np.ndarray:
    """`tiles.product` of a [rows, terms] and b [terms, columns] with keep 0.75; `turned`: a lies as its transpose."""
    (rows, terms), columns = a.shape, b.shape[1]
    wide = -columns % (2 * tiles.VECTOR // a.itemsize)
    b, c, mask = (np.pad(matrix, [(0, 0), (0, wide)]) for matrix in (b, c, mask))
    work, [in_a, in_b, in_c, in_mask, _] = in_one(a.T if turned else a, b, c, mask)
    by_a, width, lanes = (1, rows) if turned else (terms, 1), columns + wide, tiles.VECTOR // a.itemsize
    vectors = (in_b, width, lanes, in_c, width, lanes, in_mask)
    tiles.product(work, kind, a.dtype.type(0.75), in_a, *by_a, *vectors, rows, width, terms)
    return work[in_c:in_mask].reshape(rows, width)[:, :columns]


def random(*shapes: tuple[int, int], dtype: type = np.float64) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "terms", "columns"), SHAPES)
def test_products_by_tiles_are_those_of_numpy(rows, terms, columns, kind, turned):
    a, b, c, mask = random((rows, terms), (terms, columns), (rows, columns), (rows, columns))
    s = a @ b
    expected = {"store": s, "relu": np.maximum(s, 0), "mask": np.where(mask > 0, s, 0), "add": 0.75 * c + s}[kind]
    np.testing.assert_allclose(product(KINDS[kind], a, b, c, mask, turned), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("rows", "width", "others"), [(1, 16, 1), (3, 32, 5), (4, 16, 4), (11, 48, 10), (9, 64, 1)])
def test_products_of_rows_with_rows_are_those_of_numpy(rows, width, others, relu):
    a, b, c = random((rows, width), (others, width), (rows, others))
    work, [in_a, in_b, in_c, _] = in_one(a, b, c)
    tiles.dots(work, tiles.RELU if relu else tiles.STORE, in_a, width, in_b, width, in_c, others, rows, others, width)
    expected = np.maximum(a @ b.T, 0) if relu else a @ b.T
    np.testing.assert_allclose(work[in_c:].reshape(rows, others), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_of_a_product_does_not_depend_on_the_tile_that_it_is_part_of(kind, dtype):
    """A product of all rows at once, row by row, and with its columns in another order."""
    a, b, c, mask = random((13, 100), (100, 70), (13, 70), (13, 70), dtype=dtype)
    whole = product(KINDS[kind], a, b, c, mask)
    rows = [product(KINDS[kind], a[m : m + 1], b, c[m : m + 1], mask[m : m + 1]) for m in range(13)]
    assert np.array_equal(whole, np.concatenate(rows))
    order = np.random.default_rng(1).permutation(70)
    assert np.array_equal(whole[:, order], product(KINDS[kind], a, *(matrix[:, order] for matrix in (b, c, mask))))


OTHER_PROCESSOR = """
import hashlib, sys
from ranktwo import compiling
from numba.core import config
if sys.argv[1:]:
    config.CPU_NAME, config.CPU_FEATURES = sys.argv[1], ""
sys.path[:0] = ["tests", "tests/training"]
import torch
from support import a_cell
from training_support import trained
from ranktwo.training.backends import tiles
from test_kernels import KINDS, product, random
print(tiles.WIDE, tiles.HIGH)
for kind in KINDS.values():
    found = product(kind, *random((13, 100), (100, 70), (13, 70), (13, 70), dtype="float32"))
    print(hashlib.sha256(found.tobytes()).hexdigest())
cell = a_cell(optimizer="sgd", widths=(48, 40), batch_size=11, learning_rate=0.01, steps=50)
for weight in trained([cell], "regression", torch.float32, inputs=40).stack.weights:
    print(hashlib.sha256(weight.contiguous().numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_products_have_the_same_bits_with_vectors_of_32_and_of_64_bytes(tmp_path):
    """An SGD step of squared errors, too, is nothing else; it is tried on this processor as if it had AVX2 alone."""
    if tiles.WIDE == 1:
        pytest.skip("this processor has no AVX-512")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": str(tmp_path)}
    here, there = (
        subprocess.run(
            [sys.executable, "-c", OTHER_PROCESSOR, *name],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for name in ([], ["haswell"])
    )
    assert (here[0], there[0]) == ("2 8", "1 6")
    assert len(here) == 8 and here[1:] == there[1:]


@pytest.mark.slow
def test_products_are_right_where_a_processor_has_no_fused_multiply_add(tmp_path):
    script = """
from ranktwo import compiling
from numba.core import config
config.CPU_NAME, config.CPU_FEATURES = "generic", ""
import sys
sys.path[:0] = ["tests", "tests/training"]
import numpy as np
from ranktwo.training.backends import tiles
from test_kernels import product, random
assert not tiles._fused
a, b, c, mask = random((13, 100), (100, 70), (13, 70), (13, 70))
np.testing.assert_allclose(product(tiles.ADD, a, b, c, mask), a @ b + 0.75 * c, rtol=1e-12, atol=1e-12)
"""
    if not tiles._features[0].startswith("x86"):
        pytest.skip("not a processor of the family x86")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True)


@pytest.mark.parametrize("optimizer", kernels.OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [5, "full"])
def test_steps_do_not_depend_on_how_they_are_cut_into_calls(optimizer, batch_size):
    cell = a_cell(optimizer=optimizer, widths=(20, 9), batch_size=batch_size, steps=30)
    one, other = (divergence.begin([cell], *toy_data("multiclass", torch.float32), "multiclass", 3) for _ in range(2))
    one.advance_to(30)
    for step in (1, 2, 9, 30):
        other.advance_to(step)
    assert torch.equal(one.stack.memory, other.stack.memory)


def test_kernels_compile_where_no_folder_could_keep_them(monkeypatch):
    monkeypatch.setattr(compiling.caching.CacheImpl, "_locator_classes", [])
    compiled = compiling.compiled(kernels._momentum.py_func)
    assert compiled.stats.cache_path is None
    w, v, g = (np.full(2, value) for value in (1.0, 2.0, 3.0))
    compiled(w, v, g, 0.5, 0.1, 0.9)
    assert v.tolist() == pytest.approx([0.9 * 2 + 0.1 + 3] * 2)
    assert w.tolist() == pytest.approx([1 - 0.5 * 4.9] * 2)


def test_compiled_steps_refuse_an_optimizer_and_a_task_of_a_number_that_they_do_not_know():
    sizes, memory, x = np.array([4, 3]), np.ones((1, 1, 16)), np.ones((2, 4))
    targets, factors = np.ones((1, 2, 3)), np.ones((1, len(kernels.FACTORS), 1))
    work = kernels.work(torch.float64, [4, 3], 2, 0)

    def steps(optimizer: int, task: int) -> None:
        data = sizes, memory, np.array([0, 16]), x, targets, np.zeros(1, np.int64), np.empty((0, 0, 2), np.int64)
        kernels.steps(optimizer, task, *data, factors, np.empty(0), *work)

    steps(kernels.SGD, kernels.REGRESSION)
    with pytest.raises(ValueError, match="no code for an optimizer of this number"):
        steps(len(kernels.OPTIMIZERS), kernels.REGRESSION)
    with pytest.raises(ValueError, match="no code for a task of this number"):
        steps(kernels.SGD, len(kernels.TASKS))


@pytest.mark.slow
def test_numbers_do_not_depend_on_whether_the_functions_were_compiled_before(tmp_path):
    """The first process compiles them into an empty folder; the second one finds them there."""
    script = """
import hashlib, sys, torch
sys.path.insert(0, "tests"), sys.path.insert(0, "tests/training")
from support import a_cell
from training_support import trained
torch.set_num_threads(1)
cells = [a_cell(optimizer=name, widths=(48,), batch_size=16, learning_rate=0.01, steps=100) for name in sys.argv[1:]]
for cell in cells:
    for weight in trained([cell], "multiclass", torch.float32, inputs=40).stack.weights:
        print(cell.optimizer, hashlib.sha256(weight.contiguous().numpy().tobytes()).hexdigest())
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", script, "adamw", "momentum", "sgd"]
    first, second = (
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert len(first.splitlines()) == 6
    assert list(tmp_path.rglob("*.nbc"))
    assert first == second
