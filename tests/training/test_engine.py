"""The hand-written step against autograd and torch.optim; what a cell's numbers may and may not depend on."""

import gc
import math
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from support import ROOT, a_cell
from torch.utils._python_dispatch import TorchDispatchMode

from ranktwo.data import labels
from ranktwo.nets.streams import stream
from ranktwo.study import schedule
from ranktwo.study.axes import Cell
from ranktwo.training import divergence, evaluation
from ranktwo.training.backends import kernels
from ranktwo.training.batches import Batches
from ranktwo.training.divergence import Training
from ranktwo.training.stack import CHUNK


N, INPUTS = 22, 5
OUTPUTS = {"regression": 1, "binary": 1, "multiclass": 3}


def data(task: str, dtype: torch.dtype = torch.float64, inputs: int = INPUTS) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(N, inputs, generator=generator, dtype=dtype)
    if task == "regression":
        return x, torch.randn(N, 1, generator=generator, dtype=dtype)
    return x, torch.randint(0, 3 if task == "multiclass" else 2, (N,), generator=generator)


def trained(cells: list[Cell], task: str, dtype: torch.dtype = torch.float64, inputs: int = INPUTS) -> Training:
    x, y = data(task, dtype, inputs)
    training = divergence.begin(cells, x, y, task, OUTPUTS[task])
    training.advance_to(cells[0].steps)
    return training


def oracle(cell: Cell, task: str, inputs: int = INPUTS) -> list[torch.Tensor]:
    """The same cell by torch.nn, autograd and torch.optim, from the same weights and batches."""
    x, y = data(task, inputs=inputs)
    start = divergence.begin([cell], x, y, task, OUTPUTS[task])
    layers = []
    for weight in start.stack.weights:
        linear = torch.nn.Linear(weight.shape[2], weight.shape[1], bias=False, dtype=x.dtype)
        linear.weight.data = weight[0].clone()
        layers += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    kind = {
        "sgd": torch.optim.SGD,
        "momentum": lambda *a, **k: torch.optim.SGD(*a, momentum=0.9, **k),
        "adamw": torch.optim.AdamW,
    }
    optimizer = kind[cell.optimizer](net.parameters(), lr=cell.learning_rate, weight_decay=cell.weight_decay)
    factor = (lambda t: (1 + math.cos(math.pi * t / cell.steps)) / 2) if cell.schedule == "cosine" else lambda t: 1.0
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    loss = {
        "regression": torch.nn.MSELoss(),
        "binary": torch.nn.BCEWithLogitsLoss(),
        "multiclass": torch.nn.CrossEntropyLoss(),
    }[task]
    noisy = labels.noisy_targets(y, task, OUTPUTS[task], cell.label_noise, cell.seed).double()
    wanted = noisy.argmax(1) if task == "multiclass" else noisy
    size = N if cell.batch_size == "full" else cell.batch_size
    rows = Batches([cell.seed], N, size).take(cell.steps)
    squares = (x**2).sum(1)
    for step in range(cell.steps):
        chosen = slice(None) if rows is None else rows[step, 0]
        if cell.decay_rule == "input-norm":
            optimizer.param_groups[0]["weight_decay"] = (
                cell.weight_decay * (squares[chosen].mean() / squares.mean()).item()
            )
        optimizer.zero_grad()
        loss(net(x[chosen]), wanted[chosen]).backward()
        optimizer.step()
        scheduler.step()
    return [parameter.detach() for parameter in net.parameters()]


@pytest.fixture(params=["scipy", "mkl", "torch"])
def form(request, monkeypatch) -> None:
    """By whom steps are taken: compiled functions with SciPy's or MKL's products, or torch, as on a GPU."""
    if request.param == "torch":
        monkeypatch.setattr(engine, "KERNELS", False)
        return
    kernels = pytest.importorskip("ranktwo.kernels", reason="numba is not installed")
    if request.param == "mkl":
        if kernels._of_torch("sgemm") is None:
            pytest.skip("this PyTorch shows no product of an MKL")
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        monkeypatch.setattr(kernels, "SMALL_TERMS", 1)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("widths", [(6,), (6, 4), (5, 4, 3)], ids=str)
@pytest.mark.parametrize(("batch_size", "schedule", "noise"), [(7, "constant", 0.2), ("full", "cosine", 0.0)])
def test_step_is_that_of_autograd_and_torch_optim(task, optimizer, widths, batch_size, schedule, noise):
    cell = a_cell(optimizer=optimizer, widths=widths, batch_size=batch_size, schedule=schedule, label_noise=noise)
    expected = oracle(cell, task)
    for ours, theirs in zip(trained([cell], task).stack.weights, expected, strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("batch_size", [16, "full"])
def test_step_of_wide_matrices_is_that_of_autograd_and_torch_optim(optimizer, batch_size):
    cell = a_cell(optimizer=optimizer, widths=(112, 40), batch_size=batch_size, steps=10)
    weights = trained([cell], "multiclass", inputs=70).stack.weights
    # AdamW divides what may be nearly zero by its own size: rounding counts for more.
    rtol, atol = (1e-8, 1e-11) if optimizer == "adamw" else (1e-10, 1e-13)
    for ours, theirs in zip(weights, oracle(cell, "multiclass", inputs=70), strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(3, 5, 4), (20, 40, 100), (33, 500, 70), (90, 40, 300)])
def test_products_that_are_cut_into_small_ones_are_the_whole_ones(rows, inputs, outputs):
    kernels = pytest.importorskip("ranktwo.kernels", reason="numba is not installed")
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


def test_products_take_one_thread():
    pytest.importorskip("numba")
    script = """
import ranktwo.kernels, threadpoolctl
print({found["num_threads"] for found in threadpoolctl.threadpool_info() if "scipy" in found["filepath"]})
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    if done.stdout.strip() == "set()":
        pytest.skip("SciPy has its BLAS from elsewhere here")
    assert done.stdout.strip() == "{1}"


def test_products_of_wide_matrices_are_mkls_where_there_is_no_avx512(monkeypatch):
    kernels = pytest.importorskip("ranktwo.kernels", reason="numba is not installed")
    if kernels._of_torch("sgemm") is None:
        pytest.skip("this PyTorch shows no product of an MKL")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    wide, narrow = kernels.blas(torch.float32, [64, 64, 1])
    assert wide == narrow
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert kernels.blas(torch.float32, [64, 64, 1]).tolist() == [kernels._of_torch("sgemm"), narrow]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("batch_size", [3, "full"])
def test_decay_by_input_norm_is_the_mean_decay_of_each_batch(optimizer, batch_size):
    cell = a_cell(optimizer=optimizer, batch_size=batch_size, decay_rule="input-norm", weight_decay=0.3)
    weights = trained(
        [cell, a_cell(optimizer=optimizer, batch_size=batch_size, weight_decay=0.3)], "binary"
    ).stack.weights
    for ours, theirs in zip(weights, oracle(cell, "binary"), strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=1e-10, atol=1e-13)
        assert torch.equal(ours[0], ours[1]) == (batch_size == "full")


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize(("widths", "batch_size"), [((6,), 4), ((64,), 16), ((7, 9), 5), ((32,), "full")], ids=str)
def test_a_cell_is_bitwise_independent_of_its_stack(task, optimizer, widths, batch_size):
    values = [
        (0.0, 0.01, 0, "constant", 0.0),
        (0.1, 0.01, 0, "cosine", 0.3),
        (0.01, 0.03, 1, "constant", 0.1),
        (0.3, 0.02, 2, "cosine", 0.0),
    ]
    cells = [
        a_cell(
            optimizer=optimizer,
            widths=widths,
            batch_size=batch_size,
            weight_decay=mu,
            learning_rate=eta,
            seed=seed,
            schedule=schedule,
            label_noise=noise,
        )
        for mu, eta, seed, schedule, noise in values * 3
    ]
    x, y = data(task, torch.float32)
    training = trained(cells, task, torch.float32)
    assert not training.diverged
    together = training.stack
    losses = evaluation.evaluate(together.weights, x, together.targets, task)[0]
    for index, cell in enumerate(cells[:4]):
        alone = trained([cell], task, torch.float32).stack
        for stacked, single in zip(together.weights, alone.weights, strict=True):
            assert torch.equal(stacked[index], single[0])
            assert torch.equal(stacked[index], stacked[index + 8])
        assert losses[index] == evaluation.evaluate(alone.weights, x, alone.targets, task)[0][0]
        # With 16 rows the cells' outputs touch in memory, and MKL has its own way with a single cell.
        stacked, single = (
            evaluation.evaluate(s.weights, x[:16], s.targets[..., :16, :], task)[0] for s in (together, alone)
        )
        assert stacked[index] == single[0]


class Recorder(TorchDispatchMode):
    """What a CUDA graph does, on a CPU: operations are repeated on the memory and with the numbers they had."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.repeats = [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        self.calls.append((function, args, kwargs or {}, result))
        return result

    def repeat(self) -> None:
        self.repeats += 1
        for function, args, kwargs, then in self.calls:
            now = function(*args, **kwargs)
            for one, other in zip(*([r] if isinstance(r, torch.Tensor) else r for r in (then, now)), strict=True):
                if one.data_ptr() != other.data_ptr():
                    one.copy_(other)


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("batch_size", [4, "full"])
def test_steps_that_are_recorded_and_repeated_are_those_that_are_taken(task, optimizer, batch_size, monkeypatch):
    axes = {"optimizer": optimizer, "batch_size": batch_size, "steps": 5 * CHUNK + 10}
    cells = [
        a_cell(**axes, weight_decay=mu, seed=seed, schedule=schedule, label_noise=noise, decay_rule=rule)
        for mu, seed, schedule, noise, rule in (
            (0.1, 0, "cosine", 0.3, "constant"),
            (0.02, 1, "constant", 0.0, "input-norm"),
        )
    ]
    cells.append(a_cell(**axes, learning_rate=1e3))
    monkeypatch.setattr(engine, "KERNELS", False)
    recorders = []
    x, y = data(task, torch.float32)
    taken, training = (divergence.begin(cells, x, y, task, OUTPUTS[task]) for _ in range(2))

    def record(steps):
        recorder, stack = Recorder(), training.stack
        before = stack.state()
        with recorder:
            steps()
        stack.restore(before)
        recorders.append(recorder)
        return recorder.repeat

    for steps in (7, cells[0].steps):
        taken.advance_to(steps)
    monkeypatch.setattr(engine, "RECORDERS", {"cpu": record})
    for steps in (7, cells[0].steps):
        training.advance_to(steps)
    assert sum(recorder.repeats for recorder in recorders) >= 3
    assert training.diverged == taken.diverged
    for repeated, stepped in zip(training.stack.weights, taken.stack.weights, strict=True):
        assert torch.equal(repeated, stepped)


def test_kernels_compile_where_no_folder_could_keep_them(monkeypatch):
    numba = pytest.importorskip("numba")

    def njit(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit_of_numba(function, **options)

    njit_of_numba = numba.njit
    monkeypatch.setattr(numba, "njit", njit)
    compiled = kernels._compiled(kernels._momentum.py_func)
    w, v, g = (np.full(2, value) for value in (1.0, 2.0, 3.0))
    compiled(w, v, g, 0.5, 0.1, 0.9)
    assert v.tolist() == pytest.approx([0.9 * 2 + 0.1 + 3] * 2)
    assert w.tolist() == pytest.approx([1 - 0.5 * 4.9] * 2)


def test_diverged_cell_is_frozen_at_its_step_and_neighbours_never_notice():
    calm = [a_cell(weight_decay=mu, steps=400) for mu in (0.0, 0.1)]
    wild = [a_cell(learning_rate=eta, steps=400, seed=seed) for eta, seed in ((30.0, 0), (8.0, 3))]
    mixed = trained([calm[0], wild[0], calm[1], wild[1]], "regression", torch.float32)
    assert mixed.alive.tolist() == [0, 2]
    for ours, alone in zip(mixed.stack.weights, trained(calm, "regression", torch.float32).stack.weights, strict=True):
        assert torch.equal(ours, alone)
    for number, cell in ((1, wild[0]), (3, wild[1])):
        bad_step = mixed.diverged[number]
        x, y = data("regression", torch.float32)
        before = divergence.begin([cell], x, y, "regression", 1)
        rows = before.batches.take(bad_step)
        factors = before.stack.factors(rows, 0, bad_step)
        before.stack.advance(rows[:-1], factors[:-1])
        assert before.stack.finite().all()
        assert before.stack.losses(rows[bad_step - 2]).isfinite().all()
        after = divergence.begin([cell], x, y, "regression", 1)
        after.stack.advance(rows, factors)
        assert not (after.stack.finite().all() and after.stack.losses(rows[bad_step - 1]).isfinite().all())


def test_divergence_with_full_batches_is_found_too():
    cells = [a_cell(learning_rate=eta, batch_size="full", steps=300) for eta in (0.01, 50.0)]
    training = trained(cells, "regression", torch.float32)
    assert training.alive.tolist() == [0]
    assert 1 <= training.diverged[1] < 300


def test_batches_are_epochs_without_replacement_and_depend_on_the_seed_alone():
    rows = Batches([5, 2], N, 4).take(13)
    assert rows.shape == (13, 2, 4)
    for seed in range(2):
        for epoch in range(2):
            assert len(set(rows[5 * epoch : 5 * epoch + 5, seed].flatten().tolist())) == 20
    assert not torch.equal(rows[:, 0], rows[:, 1])
    pieces = Batches([2], N, 4)
    assert torch.equal(torch.cat([pieces.take(count) for count in (1, 7, 5)])[:, 0], rows[:, 1])


def test_streams_of_one_seed_differ_by_purpose():
    draws = [torch.rand(3, generator=stream(1, purpose)).tolist() for purpose in ("init", "batches", "noise")]
    assert len({tuple(draw) for draw in draws}) == 3


@pytest.mark.parametrize("task", OUTPUTS)
def test_evaluation_is_a_mean_over_samples_whatever_the_slices(task, monkeypatch):
    """A published tool divides summed batch means by the number of samples, so that its loss shrinks with the batch."""
    training = trained([a_cell(seed=seed) for seed in (0, 1)], task)
    x, y = data(task)
    wanted = labels.targets(y, task, OUTPUTS[task]).double()
    outputs = x
    for weight in training.stack.weights[:-1]:
        outputs = (outputs @ weight[1].T).relu()
    outputs = outputs @ training.stack.weights[-1][1].T
    if task == "regression":
        expected = torch.nn.functional.mse_loss(outputs, wanted)
    elif task == "binary":
        expected = torch.nn.functional.binary_cross_entropy_with_logits(outputs, wanted)
    else:
        expected = torch.nn.functional.cross_entropy(outputs, y)
    for slice_elements in (2**21, 12 * 5):
        monkeypatch.setattr(engine, "SLICE", slice_elements)
        loss, accuracy = evaluation.evaluate(training.stack.weights, x, wanted, task)
        assert loss[1].item() == pytest.approx(expected.item(), rel=1e-12)
        if task == "binary":
            assert accuracy[1].item() == ((outputs[:, 0] > 0) == (y == 1)).double().mean().item()
        elif task == "multiclass":
            assert accuracy[1].item() == (outputs.argmax(1) == y).double().mean().item()
        else:
            assert accuracy.isnan().all()


def test_snapshots_are_log_spaced_with_first_and_last():
    assert schedule.snapshot_steps(10_000, 5) == [0, 1, 10, 100, 1000, 10_000]
    assert schedule.snapshot_steps(3, 12) == [0, 1, 2, 3]
    assert schedule.snapshot_steps(7, 1) == [0, 7]


def test_initial_weights_are_those_of_nn_linear_in_distribution():
    weights = divergence.begin([a_cell(widths=(4000,))], *data("binary", torch.float32), "binary", 1).stack.weights
    bound = 1 / math.sqrt(INPUTS)
    assert weights[0].abs().max() <= bound
    assert weights[0].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(weights[0].mean().item()) < 0.01


def test_a_stack_that_nobody_holds_gives_its_memory_back_at_once(monkeypatch):
    monkeypatch.setattr(engine, "KERNELS", False)
    stack = trained([a_cell()], "binary").stack
    gone = weakref.ref(stack)
    gc.disable()
    try:
        del stack
        assert gone() is None
    finally:
        gc.enable()
