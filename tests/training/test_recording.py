"""What training records of a cell, the numbers of a few cells, and the code that these numbers count as theirs."""

import ctypes
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from support import a_cell, a_dataset, a_record
from training_support import OPTIMIZERS

from ranktwo.analysis import truncation
from ranktwo.data.dataset import Dataset
from ranktwo.errors import UserError
from ranktwo.nets import net as nets
from ranktwo.progress import Progress
from ranktwo.store.columns import schema
from ranktwo.store.fingerprints import fingerprint, reached
from ranktwo.store.records import Record
from ranktwo.study.schedules import snapshot_steps
from ranktwo.training import divergence, evaluation, recording

GOLDEN = {
    "sgd": [1.984128, 1.015025, 0.9819532, 1.008385],
    "momentum": [1.916249, 1.731247, 0.7315675, 0.9450467],
    "adamw": [2.56805, 1.214262, 0.8908529, 0.9530804],
}
"""Of each optimizer's net after 20 steps: ||V||, ||U||, training loss, test loss."""


def digits() -> Dataset:
    """80 samples of three classes, by arithmetic and not by a random generator."""
    x = torch.sin(torch.arange(80 * 12, dtype=torch.float64).square()).reshape(80, 12)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).long() + (x[:, 3] > 0.5).long()
    return a_dataset("multiclass", 3, x.float(), y, 60)


def record_of(snapshots: int = 3, **axes: object) -> Record:
    """One cell's record after training on these samples."""
    cells = {"cell": a_cell(**axes)}
    bar = Progress("toy", 1, "cell-steps")
    return recording.train(cells, digits(), snapshots=snapshots, device="cpu", progress=bar)["cell"]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_numbers_of_training_are_those_they_have_always_been(optimizer):
    rate = 0.02 if optimizer == "adamw" else 0.3
    record = record_of(
        optimizer=optimizer, widths=(16,), learning_rate=rate, weight_decay=0.05, batch_size=8, steps=20, seed=3,
        schedule="cosine", label_noise=0.1, decay_rule="input-norm",
    )  # fmt: skip
    found = [float(record.weights[name][-1].double().norm()) for name in ("V", "U")]
    found += [record.history[name][-1] for name in ("train_loss", "test_loss")]
    assert found == pytest.approx(GOLDEN[optimizer], rel=1e-5), (
        f"training by {optimizer} gives other numbers than before: {found}. "
        "Update GOLDEN only if a change of numbers was meant, and say in CHANGELOG.md why"
    )


def test_a_record_says_what_a_reader_has_to_know_of_its_data_and_optimizer():
    facts = record_of(optimizer="adamw", batch_size="full", widths=(7, 6), learning_rate=0.01).cell
    expected = {"task": "multiclass", "inputs": 12, "outputs": 3, "train_size": 60, "batch_size": 60, "widths": "7-6"}
    assert {name: facts[name] for name in expected} == expected
    said = {name: record_of(optimizer=name, learning_rate=0.01).cell for name in OPTIMIZERS}
    assert {name: (cell["decay"], cell["plain"]) for name, cell in said.items()} == {
        "sgd": ("coupled", True),
        "momentum": ("coupled", False),
        "adamw": ("decoupled", False),
    }


def test_the_history_has_exactly_the_declared_columns():
    record = record_of()
    assert list(record.history) == list(recording.COLUMNS)
    assert list(recording.COLUMNS) == [*evaluation.COLUMNS, "norm_before", "steps_before"]
    assert all(field.type == "double" for field in schema(recording.COLUMNS))
    assert all(len(values) == len(record.steps) for values in record.history.values())


def test_norm_before_is_the_norm_of_v_as_many_steps_ago_as_see_fewer_samples_than_its_rank():
    """V is 6 x 12 and a batch has 2 samples: two steps see 4 of them, three see 6."""
    earlier = record_of(batch_size=2, steps=18, schedule="constant")
    record = record_of(batch_size=2, steps=20, schedule="constant")
    assert record.history["steps_before"][-1] == 2
    assert record.history["norm_before"][-1] == float(torch.linalg.matrix_norm(earlier.weights["V"][-1].double()))
    assert record.history["steps_before"][0] == 0
    assert record.history["norm_before"][0] == float(torch.linalg.matrix_norm(record.weights["V"][0].double()))


def test_snapshots_are_log_spaced_with_first_and_last():
    assert snapshot_steps(10_000, 5) == [0, 1, 10, 100, 1000, 10_000]
    assert snapshot_steps(3, 12) == [0, 1, 2, 3]
    assert snapshot_steps(7, 1) == [0, 7]


def test_the_code_of_a_cell_is_what_its_numbers_pass_through_and_nothing_else():
    chosen = {
        "schedule": "constant",
        "decay_rule": "constant",
        "net": "mlp",
        "activation": "relu",
        "normalisation": "none",
    }
    found = reached("train", optimizer="sgd", **chosen)
    ours = {name.removeprefix("training."): names for name, names in found.items() if name.startswith("training.")}
    assert set(ours) == {
        *("recording", "evaluation", "divergence", "stack", "batches", "optimizers.base", "optimizers.sgd"),
        *(
            f"backends.{name}"
            for name in ("base", "choice", "cpu", "gpu", "kernels", "tiles", "torch_ops", "functional")
        ),
    }
    assert {"_Slice", "train", "set_up_process", "COLUMNS"} <= set(ours["recording"])
    assert "steps" in ours["backends.kernels"] and "product" in ours["backends.tiles"]
    others = {name for name in found if not name.startswith("training.")}
    assert {
        "compiling",
        "nets.losses",
        "nets.mlp",
        "nets.initial",
        "nets.streams",
        "data.labels",
        "study.schedules",
    } <= others
    assert found["study.schedules"].count("cosine") == 0
    assert found["data.decay_rules"].count("input_norm") == 0
    assert {"relu"} == set(found["nets.activations"]) and {"none"} == set(found["nets.norms"])
    assert "nets.architectures.mlp" in found and "nets.architectures.convnet" not in found
    assert len({fingerprint("train", optimizer=name, **chosen) for name in OPTIMIZERS}) == len(OPTIMIZERS)


def diabetes(y: list[float], test_y: list[float]) -> Dataset:
    """Five features and these targets."""
    x = torch.randn(len(y) + len(test_y), 5, generator=torch.Generator().manual_seed(0))
    return a_dataset("regression", 1, x, torch.tensor([*y, *test_y])[:, None], len(y))


def test_a_subset_of_equal_targets_is_refused_in_a_sentence():
    data = diabetes([0.1] * 49 + [0.7], [0.2, 0.3])
    bar = Progress("toy", 1, "cell-steps")
    for noise in (0.0, 0.5):
        with pytest.raises(UserError, match="the first 49 training rows of toy all have the same target, .* greater"):
            cells = {"cell": a_cell(train_size=49, label_noise=noise)}
            recording.train(cells, data, snapshots=1, device="cpu", progress=bar)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_r2_of_equal_test_targets_is_null_and_nothing_else_is(noise):
    data = diabetes([0.1, 0.4, 0.7, 0.9], [0.1] * 49)
    bar = Progress("toy", 1, "cell-steps")
    cells = {"cell": a_cell(label_noise=noise, steps=2)}
    history = recording.train(cells, data, snapshots=1, device="cpu", progress=bar)["cell"].history
    undefined = {name for name, values in history.items() if None in values}
    assert undefined == {name for name in history if "accuracy" in name} | {"test_r2"} | (
        {"noisy_test_r2"} if noise == 0 else set()
    )
    assert all(set(history[name]) == {None} for name in undefined)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("size", [1e-28, 1e-36])
def test_a_nearly_collapsed_net_has_the_accuracies_of_its_truncation_to_full_rank(task, size, flushed):
    """Its outputs, of order 1e-56, are 0 in float32; some units are dead, and some outputs exactly 0."""
    outputs = 1 if task == "binary" else 3
    x = torch.randn(90, 5, generator=torch.Generator().manual_seed(0))
    y = torch.randint(0, max(2, outputs), (90,), generator=torch.Generator().manual_seed(1))
    data = a_dataset(task, outputs, x, y, 60)
    generator = torch.Generator().manual_seed(2)
    v, u = (size * torch.randn(shape, generator=generator) for shape in ((3, 5), (outputs, 3)))
    stack = divergence.begin([a_cell(widths=(3,))], x[:60], y[:60], task, outputs)
    for matrix, values in zip(stack.stack.weights, (v, u), strict=True):
        matrix.copy_(values)
    facts = [0.0], task, outputs, data.train_x, data.train_y, data.test_x, data.test_y
    measured = evaluation.Evaluation(*facts).measure(stack)
    double = replace(data, train_x=data.train_x.double(), test_x=data.test_x.double())
    found = truncation.row("cell", a_record([v, u], double), double)
    for part in ("train", "test"):
        assert found[f"truncated_{part}_score"][-1] == measured[f"{part}_accuracy"].item()
        assert found[f"shrunk_{part}_score"][-1] == measured[f"{part}_accuracy"].item()
        assert found[f"truncated_{part}_loss"][-1] == pytest.approx(measured[f"{part}_loss"].item(), rel=1e-12)
    rescaled = [(v / size).double(), (u / size).double()]
    again = truncation.row("cell", a_record(rescaled, double), double)
    assert again["truncated_train_score"][-1] == measured["train_accuracy"].item() != (y[:60] == 0).double().mean()


@pytest.fixture
def flushed():
    """Denormal numbers count as 0, as in a process that trains."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("axes", "side", "fewest", "most"),
    [
        ({"widths": (256,)}, 28, 8, 32),
        ({"net": "resnet", "widths": (8, 16), "normalisation": "layer"}, 28, 8, 32),
        ({"net": "resnet", "widths": (64, 128), "normalisation": "layer"}, 32, 1, 2),
    ],
)
def test_as_many_nets_are_trained_at_once_as_make_the_calls_of_a_step_cheap(axes, side, fewest, most):
    """A resnet on images of MNIST's size took three times as long alone as beside ten others."""
    net = nets.of(vars(a_cell(**axes)), (side, side, 1), 10)
    assert fewest <= recording.most_at_once(net, 16, "cpu") <= most


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this system's memory is not glibc's")
def test_a_process_that_trains_keeps_its_memory():
    """What is freed and asked for again is not cleared by the system, page by page, each time."""
    program = """
import resource, torch
from ranktwo.training.recording import set_up_process
set_up_process()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30): torch.ones(10_000_000)
before = faults()
for _ in range(20): torch.ones(10_000_000)
print((faults() - before) * resource.getpagesize() / 40_000_000)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # It is 20 where memory is given back. Each of the first thirty may get another piece of memory than the one before.
    assert float(done.stdout) < 3
