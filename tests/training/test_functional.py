"""Any net by torch.func: against one module trained by autograd and torch.optim; what its numbers may depend on."""

import math
import os
import subprocess
import sys

import pytest
import torch
from support import a_cell, a_dataset
from torch import nn
from training_support import INPUTS, OPTIMIZERS, OUTPUTS, TORCH_LOSSES, N, same, torch_schedule, toy_data

from ranktwo.nets import net as nets
from ranktwo.nets.modules import ModuleNet
from ranktwo.nets.norms import ImageNorm
from ranktwo.progress import Progress
from ranktwo.store import registry
from ranktwo.store.records import read_checkpoint, read_records, write_checkpoint, write_records
from ranktwo.study.axes import Cell
from ranktwo.training import divergence, recording, stack
from ranktwo.training.backends import choice
from ranktwo.training.backends.functional import FunctionalSteps
from ranktwo.training.batches import Batches

KINDS = [
    {"activation": "gelu"},
    {"activation": "tanh", "bias": True, "widths": (7, 5)},
    {"activation": "leaky-relu", "normalisation": "layer", "widths": (7, 5)},
    {"activation": "relu", "normalisation": "layer", "bias": True, "widths": (9,)},
    {"activation": "linear", "widths": (5, 4, 3)},
    {"net": "convnet", "activation": "tanh", "bias": True, "widths": (3, 4)},
    {"net": "resnet", "activation": "relu", "normalisation": "layer", "widths": (2, 3)},
    {"net": "transformer", "activation": "gelu", "bias": True, "normalisation": "layer", "widths": (32,)},
    {"net": "transformer", "activation": "relu", "widths": (5, 5)},
    {"net": "convnet", "activation": "relu", "normalisation": "layer", "bias": True, "widths": (8, 16)},
]
"""Axes of nets that torch.func trains."""


def shape_of(cell: Cell) -> tuple[int, ...]:
    """Of the samples that a cell's net takes."""
    return (INPUTS,) if cell.net == "mlp" else (4, 5, 1)


def trained(cells: list[Cell], task: str, dtype: torch.dtype = torch.float64) -> divergence.Training:
    """The cells after their last step on the toy data."""
    shape = shape_of(cells[0])
    training = divergence.begin(cells, *toy_data(task, dtype, math.prod(shape)), task, OUTPUTS[task], shape)
    training.advance_to(cells[0].steps)
    return training


def oracle(cell: Cell, task: str, dtype: torch.dtype) -> list[torch.Tensor]:
    """The cell's matrices and then its other parameters by one module, autograd and torch.optim."""
    shape = shape_of(cell)
    x, y = toy_data(task, dtype, math.prod(shape))
    net = nets.of(vars(cell), shape, OUTPUTS[task])
    module = registry.load("net", cell.net)(net._plan).to(dtype)
    own = dict(module.named_parameters())
    keys = list(net._shapes)
    with torch.no_grad():
        for key, values in zip(keys, net.initial(cell.seed, dtype), strict=True):
            own[key].copy_(values.view(own[key].shape))
    matrices = len(net.matrices)
    groups = [
        {"params": [own[key] for key in keys[:matrices]], "weight_decay": cell.weight_decay},
        {"params": [own[key] for key in keys[matrices:]], "weight_decay": 0.0},
    ]
    kind = {"adamw": torch.optim.AdamW}.get(cell.optimizer, torch.optim.SGD)
    more = {"momentum": 0.9} if cell.optimizer == "momentum" else {}
    optimizer = kind([group for group in groups if group["params"]], lr=cell.learning_rate, **more)
    scheduler, loss = torch_schedule(cell, optimizer), TORCH_LOSSES[task]
    wanted = y if task == "multiclass" else y.float().to(dtype).view(N, 1)
    rows = Batches([cell.seed], N, N if cell.batch_size == "full" else cell.batch_size).take(cell.steps)
    for step in range(cell.steps):
        chosen = slice(None) if rows is None else rows[step, 0]
        optimizer.zero_grad()
        samples = x[chosen] if len(shape) == 1 else x[chosen].view(-1, 1, *shape[:2])
        loss(module(samples), wanted[chosen]).backward()
        optimizer.step()
        scheduler.step()
    return [own[key].detach().reshape(shape) for key, shape in zip(keys, net.shapes, strict=True)]


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("number", range(len(KINDS)), ids=map(str, KINDS))
def test_step_is_that_of_one_module_by_autograd_and_torch_optim(task, optimizer, number):
    axes = {"batch_size": 7, "schedule": "constant"} if number % 2 else {"batch_size": "full", "schedule": "cosine"}
    cells = [a_cell(optimizer=optimizer, weight_decay=mu, steps=20, **axes, **KINDS[number]) for mu in (0.2, 0.0)]
    stacked = trained(cells, task).stack
    assert isinstance(stacked._steps, FunctionalSteps)
    for number, cell in enumerate(cells):
        for ours, theirs in zip(stacked.weights, oracle(cell, task, torch.float64), strict=True):
            assert (ours[number] - theirs).norm() <= 1e-10 * theirs.norm() + 1e-13


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_single_precision_is_that_of_one_module_to_its_rounding(optimizer, kind):
    cell = a_cell(optimizer=optimizer, weight_decay=0.1, steps=20, **kind)
    ours = trained([cell], "multiclass", torch.float32).stack.weights
    for one, other in zip(ours, oracle(cell, "multiclass", torch.float32), strict=True):
        torch.testing.assert_close(one[0], other, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_relu_net_is_the_same_by_torch_func_as_by_hand(optimizer, monkeypatch):
    cell = a_cell(optimizer=optimizer, widths=(6, 4))
    by_hand = trained([cell], "multiclass").stack
    module = ModuleNet("mlp", nets.Blueprint(
        shape=(INPUTS,), outputs=3, widths=(6, 4), activation="relu", bias=False, normalisation="none"
    ), registry.load("net", "mlp"))  # fmt: skip
    monkeypatch.setattr(nets, "of", lambda *_: module)
    by_func = trained([cell], "multiclass").stack
    assert isinstance(by_func._steps, FunctionalSteps) and not isinstance(by_hand._steps, FunctionalSteps)
    for one, other in zip(by_func.weights, by_hand.weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


CASES = list(zip(KINDS, (4, 7, "full", 16, 5, 5, 4, 4, 7, 16), [*OUTPUTS] * 3 + ["regression"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("kind", "batch_size", "task"), CASES, ids=str)
def test_a_cell_is_bitwise_independent_of_its_stack(task, optimizer, kind, batch_size):
    values = [(0.0, 0.01, 0, 0.0), (0.1, 0.01, 0, 0.3), (0.01, 0.03, 1, 0.1), (0.3, 0.02, 2, 0.0)]
    cells = [
        a_cell(
            optimizer=optimizer, batch_size=batch_size, steps=20, weight_decay=mu, learning_rate=eta, seed=seed,
            label_noise=noise, **kind,
        )
        for mu, eta, seed, noise in values * 3
    ]  # fmt: skip
    together = trained(cells, task, torch.float32).stack
    for index, count in ((0, 1), (3, 1), (3, 2)):
        few = trained(cells[index : index + count], task, torch.float32).stack
        for stacked, beside in zip(together.weights, few.weights, strict=True):
            assert torch.equal(stacked[index : index + count], beside)
            assert torch.equal(stacked[index], stacked[index + 8])


@pytest.mark.slow
def test_cells_are_bitwise_independent_of_their_stack_on_a_processor_without_avx_512_too():
    """There PyTorch's libraries compute convolutions and exponentials in other ways, which they choose when loaded."""
    older = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    chosen = [__file__, "-k", test_a_cell_is_bitwise_independent_of_its_stack.__name__]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-m", "slow", *chosen],
        env=older, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and f"{2 * len(CASES)} passed" in done.stdout, done.stdout[-3000:]


def test_a_net_that_cannot_be_run_with_its_channels_last_is_trained_all_the_same(monkeypatch):
    """torch.func does not have torch's own group normalisation in that order."""
    cells = [a_cell(net="convnet", widths=(3, 4), normalisation="layer", steps=5, seed=seed) for seed in range(2)]
    kept = trained(cells, "multiclass").stack
    monkeypatch.setattr(ImageNorm, "forward", nn.GroupNorm.forward)
    arguments = (kept.weights, *(torch.ones(2, 4, size, dtype=torch.float64) for size in (20, 3)), torch.ones(2))
    with pytest.raises(RuntimeError, match="memory_format"):
        kept.net.gradients("multiclass", channels_last=True)(*arguments)
    for one, other in zip(kept.weights, trained(cells, "multiclass").stack.weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_biases_and_gains_are_not_decayed():
    """With x = 0 and targets that the net meets, no gradient moves anything: decay alone acts."""
    cell = a_cell(weight_decay=1.0, learning_rate=0.1, bias=True, normalisation="layer", activation="tanh", steps=10)
    start = divergence.begin([cell], torch.zeros(N, INPUTS), torch.zeros(N, 1), "regression", 1)
    with torch.no_grad():
        start.stack.weights[-1].zero_()  # the output's bias, so that f = 0
    before = [weight.clone() for weight in start.stack.weights]
    names = [*start.stack.net.matrices, *start.stack.net.vectors]
    start.advance_to(10)
    for name, one, other in zip(names, before, start.stack.weights, strict=True):
        if name in start.stack.net.matrices:
            torch.testing.assert_close(other, one * 0.9**10, rtol=1e-5, atol=1e-7)
        else:
            assert torch.equal(one, other), name


DATA = {"steps": 300, "activation": "tanh", "normalisation": "layer", "bias": True, "optimizer": "momentum"}


def records_of(cells: dict[str, Cell], **more):
    x, y = toy_data("multiclass", torch.float32)
    data = a_dataset("multiclass", 3, x, y, 18)
    bar = Progress("toy", 1, "cell-steps")
    return recording.train(cells, data, snapshots=4, device="cpu", progress=bar, **more)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_nets_that_all_diverge_are_recorded_as_they_are_found(noise):
    wild = dict(activation="leaky-relu", learning_rate=1e9, label_noise=noise, steps=300)
    records = records_of({name: a_cell(**wild, seed=seed) for seed, name in enumerate("abc")})
    for record in records.values():
        assert 1 <= record.diverged < 300
        assert record.weights["V"][0].isfinite().all() and record.weights["V"][-1].isnan().all()
        assert record.history["test_loss"][0] is not None and record.history["test_loss"][-1] is None


def test_a_training_that_is_broken_off_goes_on_with_the_same_numbers_and_its_files_hold_all(tmp_path):
    cells = {"a": a_cell(**DATA), "b": a_cell(**DATA, weight_decay=0.3, seed=1), "c": a_cell(**DATA, learning_rate=1e9)}
    whole = records_of(cells)
    assert whole["c"].diverged is not None and whole["a"].diverged is None
    path = tmp_path / "checkpoint.safetensors"

    class Stop(Exception):
        pass

    def pause(read_state):
        finished, unfinished = read_state()
        if all(cell.step > 100 for cell in unfinished.values()):
            write_checkpoint(path, finished, unfinished, {})
            raise Stop

    with pytest.raises(Stop):
        records_of(cells, pause=pause)
    finished, unfinished = read_checkpoint(path)
    assert set(finished) == {"c"} and set(unfinished) == {"a", "b"}
    again = records_of({name: cells[name] for name in unfinished}, unfinished=unfinished)
    for name in unfinished:
        same(again[name], whole[name])
        for key, values in whole[name].vectors.items():
            assert torch.equal(values, again[name].vectors[key])
    files = tmp_path / "weights.safetensors", tmp_path / "history.parquet"
    write_records(*files, whole, recording.COLUMNS, {"stage": "train"})
    read = read_records(*files)
    assert list(read["a"].weights) == ["V", "U"]
    assert list(read["a"].vectors) == ["norm-V.weight", "norm-V.bias", "U.bias"]
    assert all(torch.equal(values, read["a"].vectors[key]) for key, values in whole["a"].vectors.items())
    ends = whole["a"].with_weights([0, DATA["steps"]])
    write_records(*files, {"a": ends}, recording.COLUMNS, {"stage": "train"})
    [kept] = read_records(*files).values()
    assert all(torch.equal(values[[0, -1]], kept.vectors[key]) for key, values in whole["a"].vectors.items())


def test_the_recorded_losses_are_those_of_the_recorded_parameters():
    cells = {"a": a_cell(**DATA)}
    [record] = records_of(cells).values()
    x, y = toy_data("multiclass", torch.float32)
    net = nets.of(record.cell, (INPUTS,), 3)
    for snapshot in range(len(record.steps)):
        outputs = net.outputs([weight[None] for weight in record.whole_net(snapshot)], x[:18].double())[0]
        loss = torch.nn.functional.cross_entropy(outputs, y[:18]).item()
        assert record.history["train_loss"][snapshot] == pytest.approx(loss, rel=1e-12)


def test_only_bias_free_relu_nets_are_trained_by_hand(monkeypatch):
    taken = []
    monkeypatch.setattr(stack, "fastest_steps", lambda given: taken.append(given) or choice.fastest_steps(given))
    for axes in ({}, {"activation": "gelu"}, {"bias": True}, {"normalisation": "layer"}):
        trained([a_cell(**axes, steps=1)], "binary", torch.float32)
    kinds = [type(given.net).__name__ for given in taken]
    assert kinds == ["ReluMlp", "ModuleNet", "ModuleNet", "ModuleNet"]
