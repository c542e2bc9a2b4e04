"""The hand-written step against autograd and torch.optim; what a cell's numbers may and may not depend on."""

import gc
import math
import weakref

import pytest
import torch
from support import a_cell
from torch.utils._python_dispatch import TorchDispatchMode
from training_support import INPUTS, OPTIMIZERS, OUTPUTS, TORCH_LOSSES, N, torch_schedule, toy_data, trained

from ranktwo.data import labels
from ranktwo.study.axes import Cell
from ranktwo.training import divergence, evaluation
from ranktwo.training.backends import choice, torch_ops
from ranktwo.training.batches import CHUNK, Batches


def oracle(cell: Cell, task: str, inputs: int = INPUTS) -> list[torch.Tensor]:
    """The same cell by torch.nn, autograd and torch.optim, from the same weights and batches."""
    x, y = toy_data(task, inputs=inputs)
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
    scheduler, loss = torch_schedule(cell, optimizer), TORCH_LOSSES[task]
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


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("widths", [(6,), (6, 4), (5, 4, 3)], ids=str)
@pytest.mark.parametrize(("batch_size", "schedule", "noise"), [(7, "constant", 0.2), ("full", "cosine", 0.0)])
def test_step_is_that_of_autograd_and_torch_optim(task, optimizer, widths, batch_size, schedule, noise):
    cell = a_cell(optimizer=optimizer, widths=widths, batch_size=batch_size, schedule=schedule, label_noise=noise)
    expected = oracle(cell, task)
    for ours, theirs in zip(trained([cell], task).stack.weights, expected, strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [16, "full"])
def test_step_of_wide_matrices_is_that_of_autograd_and_torch_optim(optimizer, batch_size):
    cell = a_cell(optimizer=optimizer, widths=(112, 40), batch_size=batch_size, steps=10)
    weights = trained([cell], "multiclass", inputs=70).stack.weights
    # AdamW divides what may be nearly zero by its own size: rounding counts for more.
    rtol, atol = (1e-8, 1e-11) if optimizer == "adamw" else (1e-10, 1e-13)
    for ours, theirs in zip(weights, oracle(cell, "multiclass", inputs=70), strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=rtol, atol=atol)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
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
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
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
    x, y = toy_data(task, torch.float32)
    training = trained(cells, task, torch.float32)
    assert not training.diverged
    together = training.stack
    losses = evaluation.evaluate(together.net, together.weights, x, together.targets, task)[0]
    for index, cell in enumerate(cells[:4]):
        alone = trained([cell], task, torch.float32).stack
        for stacked, single in zip(together.weights, alone.weights, strict=True):
            assert torch.equal(stacked[index], single[0])
            assert torch.equal(stacked[index], stacked[index + 8])
        assert losses[index] == evaluation.evaluate(alone.net, alone.weights, x, alone.targets, task)[0][0]
        # With 16 rows the cells' outputs touch in memory, and MKL has its own way with a single cell.
        stacked, single = (
            evaluation.evaluate(s.net, s.weights, x[:16], s.targets[..., :16, :], task)[0] for s in (together, alone)
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
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
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
    monkeypatch.setattr(choice, "numba_works", lambda: False)
    recorders = []
    x, y = toy_data(task, torch.float32)
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
    monkeypatch.setattr(torch_ops, "RECORDERS", {"cpu": record})
    for steps in (7, cells[0].steps):
        training.advance_to(steps)
    assert sum(recorder.repeats for recorder in recorders) >= 3
    assert training.diverged == taken.diverged
    for repeated, stepped in zip(training.stack.weights, taken.stack.weights, strict=True):
        assert torch.equal(repeated, stepped)


def test_initial_weights_are_those_of_nn_linear_in_distribution():
    weights = divergence.begin([a_cell(widths=(4000,))], *toy_data("binary", torch.float32), "binary", 1).stack.weights
    bound = 1 / math.sqrt(INPUTS)
    assert weights[0].abs().max() <= bound
    assert weights[0].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(weights[0].mean().item()) < 0.01


def test_a_stack_that_nobody_holds_gives_its_memory_back_at_once(monkeypatch):
    monkeypatch.setattr(choice, "numba_works", lambda: False)
    stack = trained([a_cell()], "binary").stack
    gone = weakref.ref(stack)
    gc.disable()
    try:
        del stack
        assert gone() is None
    finally:
        gc.enable()
