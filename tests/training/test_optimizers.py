"""An optimizer is one file. A fast backend trains it if its record names that backend; else torch's operations do."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import ROOT, a_cell, patience
from training_support import OPTIMIZERS, OUTPUTS, toy_data

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.training import divergence, stack
from ranktwo.training.backends import choice, cpu, gpu
from ranktwo.training.backends.torch_ops import TorchSteps
from ranktwo.training.optimizers.base import Factors, named

SIGN = '''"""Steps of the size of the learning rate against each entry's sign."""

from torch import Tensor

import torch

from ranktwo.training.optimizers.base import Factors, Gradient, each, optimizer


@optimizer("sign", slots=0, decay="decoupled", backends={backends})
def sign(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], g: Gradient, factors: Factors) -> None:
    """W <- (1 - eta mu) W - eta sign(g)."""
    gradient = torch.empty_like(weight)
    g.write_to(gradient)
    weight.mul_(each(factors.shrinkage)).sub_(gradient.sign_().mul_(each(factors.rate)))
'''
TRAIN = """
import torch
from ranktwo import errors
from ranktwo.store import registry
from ranktwo.study.axes import AXES, Cell
from ranktwo.training import divergence
from ranktwo.training.backends import choice

assert "sign" in AXES["optimizer"].words()
x = torch.randn(22, 5, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
axes = dict(dataset="toy", widths=(6,), learning_rate=0.01, batch_size="full", weight_decay=0.3, steps=3, seed=0)
try:
    training = divergence.begin([Cell(optimizer="sign", **axes)], x, x[:, :1].clone(), "regression", 1)
except errors.UserError as error:
    print(error)
    raise SystemExit
v, u = (weight[0].clone().requires_grad_() for weight in training.stack.weights)
training.advance_to(3)
for step in range(3):
    loss = torch.nn.functional.mse_loss(torch.relu(x @ v.T) @ u.T, x[:, :1])
    gradients = torch.autograd.grad(loss, (v, u))
    v, u = ((w * (1 - 0.01 * 0.3) - 0.01 * g.sign()).detach().requires_grad_() for w, g in zip((v, u), gradients))
for ours, theirs in zip(training.stack.weights, (v, u)):
    torch.testing.assert_close(ours[0], theirs.detach(), rtol=1e-12, atol=1e-12)
print(choice.numba_works(), type(training.stack._steps).__name__)
"""


def with_sign(folder: Path, backends: tuple[str, ...]) -> str:
    """What training by `sign` prints in a copy of the package that has one file more than this one."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    optimizers = folder / "src" / "ranktwo" / "training" / "optimizers"
    (optimizers / "sign.py").write_text(SIGN.format(backends=backends))
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN], env=environment, capture_output=True, text=True, timeout=patience(12)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_an_optimizer_of_one_new_file_is_trained_by_torch_also_where_a_cpu_has_compiled_steps(tmp_path):
    assert with_sign(tmp_path, backends=()) == f"{choice.numba_works()} TorchSteps"


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_a_record_that_names_a_backend_without_code_for_it_is_refused_in_a_sentence(backend, tmp_path):
    said = with_sign(tmp_path, backends=(backend,))
    assert said.startswith(f"the optimizer sign is declared to have code in the backend {backend}, which has none")
    assert f"take {backend} out of the optimizer's `backends`" in said


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_steps_are_taken_only_for_a_record_that_names_the_cpu(name, monkeypatch):
    """A fast backend that has code for the name is not used without the record's word."""
    pytest.importorskip("numba")
    cell, data = a_cell(optimizer=name), toy_data("binary")
    assert isinstance(divergence.begin([cell], *data, "binary", 1).stack._steps, cpu.CompiledSteps)
    monkeypatch.setattr(stack, "named", lambda name: dataclasses.replace(named(name), backends=("gpu",)))
    assert isinstance(divergence.begin([cell], *data, "binary", 1).stack._steps, TorchSteps)


def test_every_optimizer_of_a_fast_backend_is_registered_and_names_it():
    records = registry.load_all("optimizer")
    assert {name: record.name for name, record in records.items()} == {name: name for name in records}
    assert set(records) == {*OPTIMIZERS, "muon"}
    for backend, known in choice.FAST.items():
        assert set(known) == {name for name, record in records.items() if backend in record.backends}
    kernels = pytest.importorskip("ranktwo.training.backends.kernels", reason="numba is not installed")
    assert set(kernels.OPTIMIZERS) == set(kernels.CONSTANTS) == set(cpu.OPTIMIZERS)
    assert Factors._fields == kernels.FACTORS


def test_what_a_record_says_can_be_read_without_an_import():
    entries = registry.entries("optimizer")
    said = {name: (entry.settings["slots"], entry.settings["decay"]) for name, entry in entries.items()}
    assert said == {
        "sgd": (0, "coupled"),
        "momentum": (1, "coupled"),
        "adamw": (2, "decoupled"),
        "muon": (1, "decoupled"),
    }
    assert [name for name in entries if named(name).plain] == ["sgd"]
    backends = {name: entry.settings.get("backends", ()) for name, entry in entries.items()}
    assert backends == dict.fromkeys(OPTIMIZERS, ("cpu", "gpu")) | {"muon": ()}


def test_factors_of_adamw_correct_its_running_means_for_their_start_at_zero():
    rate, decay = torch.full((3, 2), 0.1, dtype=torch.float64), torch.full((3, 2), 0.5, dtype=torch.float64)
    factors = named("adamw").factors(rate, decay, 4, 16, torch.float64)
    t = torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)
    torch.testing.assert_close(factors.mean_rate[:, 0], 0.1 / (1 - 0.9**t))
    torch.testing.assert_close(factors.root[:, 1], (1 - 0.999**t).sqrt())
    torch.testing.assert_close(factors.shrinkage, torch.full_like(rate, 0.95))
    torch.testing.assert_close(factors.scale, torch.full_like(rate, 1 / 16))


def test_factors_of_an_optimizer_without_running_means_leave_the_rate_as_it_is():
    rate, decay = torch.full((3, 2), 0.1, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64)
    for name, scale in (("sgd", -0.1 / 16), ("momentum", 1 / 16)):
        factors = named(name).factors(rate, decay, 4, 16, torch.float64)
        assert torch.equal(factors.mean_rate, rate) and torch.equal(factors.root, torch.ones_like(rate)), name
        torch.testing.assert_close(factors.scale, torch.full_like(rate, scale))


def test_a_wrong_claim_is_refused_on_every_device(monkeypatch):
    """Also where the claimed backend could not be used anyway, such as the GPU's on a CPU."""
    monkeypatch.setattr(choice, "FAST", {"cpu": cpu.OPTIMIZERS, "gpu": tuple(set(gpu.OPTIMIZERS) - {"sgd"})})
    with pytest.raises(
        UserError, match="the optimizer sgd is declared to have code in the backend gpu, which has none"
    ):
        divergence.begin([a_cell()], *toy_data("multiclass"), "multiclass", OUTPUTS["multiclass"])
