"""The compiled functions of a CPU: their products, their threads, and where they are kept."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from support import ROOT

compiling = pytest.importorskip("ranktwo.training.backends.compiling", reason="numba is not installed")
kernels = importlib.import_module("ranktwo.training.backends.kernels")


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(3, 5, 4), (20, 40, 100), (33, 500, 70), (90, 40, 300)])
def test_products_that_are_cut_into_small_ones_are_the_whole_ones(rows, inputs, outputs):
    generator = np.random.default_rng(0)
    h, w, delta = (generator.standard_normal(shape) for shape in ((rows, inputs), (outputs, inputs), (rows, outputs)))
    size, blas = (rows, inputs, outputs), kernels.blas(torch.float64, [inputs, outputs])[0]
    out, below, slope = np.full_like(delta, np.nan), np.full_like(h, np.nan), w.copy()
    kernels.outputs_of(blas, h.ravel(), w.ravel(), out.ravel(), *size)
    kernels.gradient_below(blas, delta.ravel(), w.ravel(), below.ravel(), *size)
    kernels.gradient(blas, delta.ravel(), h.ravel(), 0.5, slope.ravel(), *size)
    np.testing.assert_allclose(out, h @ w.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(below, delta @ w, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, delta.T @ h + 0.5 * w, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_products_take_one_thread():
    script = """
import threadpoolctl, ranktwo.training.backends.kernels
print({found["num_threads"] for found in threadpoolctl.threadpool_info() if "scipy" in found["filepath"]})
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    if done.stdout.strip() == "set()":
        pytest.skip("SciPy has its BLAS from elsewhere here")
    assert done.stdout.strip() == "{1}"


def test_products_of_wide_matrices_are_mkls_where_there_is_no_avx512(monkeypatch):
    if kernels._of_torch("sgemm") is None:
        pytest.skip("this PyTorch shows no product of an MKL")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    wide, narrow = kernels.blas(torch.float32, [64, 64, 1])
    assert wide == narrow
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert kernels.blas(torch.float32, [64, 64, 1]).tolist() == [kernels._of_torch("sgemm"), narrow]


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
    work = kernels.work(torch.float64, [4, 3], 2)

    def steps(optimizer: int, task: int) -> None:
        kind = kernels.blas(torch.float64, [4, 3]), optimizer, task
        data = sizes, memory, np.array([0, 16]), x, targets, np.zeros(1, np.int64), np.empty((0, 0, 2), np.int64)
        kernels.steps(*kind, *data, factors, np.empty(0), *work)

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
