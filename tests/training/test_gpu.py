"""The kernel of a GPU: its source run on a CPU wherever there is a C++ compiler, and itself where there is a GPU."""

import ctypes
import dataclasses
import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support import a_cell
from torch import Tensor
from torch.utils import cpp_extension

from ranktwo.study.axes import Cell
from ranktwo.training import divergence, stack
from ranktwo.training.backends import choice, gpu
from ranktwo.training.backends.gpu import GROUPS, SOURCE, Kernel, KernelSteps
from ranktwo.training.divergence import Training
from ranktwo.training.optimizers.base import named
from ranktwo.training.stack import Stack

COMPILER = shutil.which("g++")
HARNESS = Path(__file__).with_name("gpu_on_a_cpu.cpp")
ROWS = 37
HOPPER = 232_448
"""Bytes of shared memory that a block of an H100 can have."""


def data(sizes: tuple[int, ...], task: str, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(rows, sizes[0], generator=generator)
    if task == "regression":
        return x, torch.randn(rows, 1, generator=generator)
    return x, torch.randint(0, max(2, sizes[-1]), (rows,), generator=generator)


def beginning(cells: list[Cell], sizes: tuple[int, ...], task: str, device: str = "cpu", rows: int = ROWS) -> Training:
    x, y = data(sizes, task, rows)
    return divergence.begin(cells, x.to(device), y, task, sizes[-1])


def grid(sizes: tuple[int, ...], count: int = 3, **axes: object) -> list[Cell]:
    """Cells that differ in seed, decay, schedule and decay rule."""
    return [
        a_cell(
            widths=sizes[1:-1],
            seed=index // 2,
            weight_decay=0.03 * index,
            schedule="cosine" if index % 2 else "constant",
            decay_rule="input-norm" if index == 2 else "constant",
            **axes,
        )
        for index in range(count)
    ]


def difference(ours: Training, theirs: Training) -> float:
    """The largest ||A - B||/||B|| of the weights and of what the optimizer keeps."""
    pairs = zip(
        [*ours.stack.weights, *itertools.chain(*ours.stack.slots)],
        [*theirs.stack.weights, *itertools.chain(*theirs.stack.slots)],
        strict=True,
    )
    return max(float((one.cpu() - other).norm() / other.norm()) for one, other in pairs)


def compiled_for_a_cpu(kernel: Kernel, folder: Path) -> subprocess.CompletedProcess:
    """Compile the kernel's source for a CPU, to kernel.so in the folder."""
    (folder / "constants.h").write_text(kernel.constants())
    command = [COMPILER, "-std=c++20", "-O1", "-shared", "-fPIC", f'-DCONSTANTS="{folder}/constants.h"']
    command += [f'-DKERNEL_SOURCE="{SOURCE}"', str(HARNESS), "-o", str(folder / "kernel.so")]
    return subprocess.run(command, capture_output=True, text=True)


def take_on_a_cpu(kernel: Kernel, nets: Stack, rows: Tensor | None, factors: Tensor, folder: Path) -> None:
    """The kernel's steps, by its source compiled for a CPU."""
    done = compiled_for_a_cpu(kernel, folder)
    assert done.returncode == 0, done.stderr
    targets = nets.targets
    apart, of_net = nets.memory[0].numel(), targets[0].numel() if targets.dim() == 3 else 0
    rows = torch.empty(0, 0) if rows is None else rows
    tensors = (nets.memory, nets.x, targets, nets.recipe.seed_of, rows, factors.contiguous())
    memory, x, y, seed_of, chosen, by = (ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors)
    arguments = (memory, apart, x, y, of_net, seed_of, chosen, rows.shape[1], by, len(factors), len(nets.weights[0]))
    ctypes.CDLL(str(folder / "kernel.so")).launch(*arguments)


SHAPES = [
    # sizes, batch, optimizer, task, label noise, blocks of a net, threads, slots in shared memory, buffers
    ((64, 128, 10), 16, "sgd", "multiclass", 0.0, 1, 256, False, 2),
    ((64, 128, 10), 4, "momentum", "multiclass", 0.2, 2, 64, True, 1),
    ((31, 50, 1), 10, "momentum", "regression", 0.0, 4, 64, False, 2),
    ((8, 256, 1), 16, "adamw", "binary", 0.2, 1, 64, True, 2),
    ((20, 48, 36, 10), 16, "adamw", "multiclass", 0.0, 2, 64, False, 1),
    ((20, 48, 36, 24, 40), 12, "sgd", "multiclass", 0.2, 8, 64, False, 2),
    ((12, 10), 12, "sgd", "multiclass", 0.0, 1, 64, False, 2),
    ((12, 7, 1), "full", "momentum", "binary", 0.2, 1, 64, False, 1),
    ((100, 64, 10), 16, "sgd", "multiclass", 0.0, 8, 256, False, 2),
]


@pytest.mark.skipif(COMPILER is None, reason="no g++ here to run the kernel's source with")
@pytest.mark.parametrize(
    "shape",
    [*SHAPES[:2], *(pytest.param(shape, marks=pytest.mark.slow) for shape in SHAPES[2:])],
    ids=lambda shape: f"{shape[0]}-{shape[2]}-{shape[5]}",
)
def test_source_of_the_kernel_takes_the_steps_that_torch_takes(shape, tmp_path, monkeypatch):
    """Threads take turns here: what is out of order only by chance is found on a GPU alone."""
    sizes, batch_size, optimizer, task, noise, group, threads, slots_shared, buffers = shape
    monkeypatch.setattr(choice, "numba_works", lambda: False)
    cells = grid(sizes, optimizer=optimizer, batch_size=batch_size, label_noise=noise, steps=5)
    expected, found = beginning(cells, sizes, task), beginning(cells, sizes, task)
    expected.advance_to(5)
    kernel = Kernel(
        sizes=sizes, batch_size=ROWS if batch_size == "full" else batch_size, whole=batch_size == "full",
        optimizer=optimizer, task=task, group=group, threads=threads, slots_shared=slots_shared, buffers=buffers,
    )  # fmt: skip
    rows = found.batches.take(5)
    take_on_a_cpu(kernel, found.stack, rows, found.stack.factors(rows, 0, 5), tmp_path)
    assert difference(found, expected) < (1e-5 if optimizer == "adamw" else 1e-6)
    started = beginning(cells, sizes, task)
    assert all(not torch.equal(w, before) for w, before in zip(found.stack.weights, started.stack.weights, strict=True))


@pytest.mark.skipif(COMPILER is None, reason="no g++ here to run the kernel's source with")
def test_source_of_the_kernel_does_not_compile_for_an_optimizer_that_it_does_not_know(tmp_path, monkeypatch):
    record = dataclasses.replace(named("sgd"), name="sign")
    monkeypatch.setattr(gpu, "named", lambda name: record)
    kernel = gpu.kernel_for([5, 7, 3], 4, False, "sign", "multiclass", HOPPER, GROUPS)
    assert kernel
    done = compiled_for_a_cpu(kernel, tmp_path)
    assert done.returncode
    assert "gpu.cu has no step for this optimizer" in done.stderr


def test_a_net_has_the_fewest_blocks_that_hold_it():
    def blocks(sizes: list[int], batch_size: int, optimizer: str = "sgd", groups: tuple[int, ...] = GROUPS) -> int:
        kernel = gpu.kernel_for(sizes, batch_size, False, optimizer, "multiclass", HOPPER, groups)
        return kernel.group if kernel else 0

    assert blocks([64, 128, 10], 16) == blocks([64, 128, 10], 16, "adamw") == 1
    assert blocks([784, 256, 10], 4) == 4
    assert blocks([784, 256, 10], 16) == blocks([784, 256, 256, 10], 16) == 8
    assert blocks([784, 256, 10], 16, groups=(1,)) == 0
    assert blocks([784, 1024, 1024, 10], 16) == 0
    assert blocks([784, 10], 16) == 1
    weights = gpu.kernel_for([784, 256, 10], 16, False, "sgd", "multiclass", HOPPER, GROUPS)
    assert weights is not None
    assert 4 * (784 * 256 + 256 * 10) / 8 < weights.shared_bytes <= HOPPER


def test_a_kernel_that_cannot_be_compiled_is_told_in_a_sentence_and_torch_takes_the_steps(monkeypatch, capsys):
    def fails(*arguments: object, **options: object) -> None:
        raise OSError("libnvrtc.so.13: cannot open shared object file")

    hopper = SimpleNamespace(major=9, shared_memory_per_block_optin=HOPPER)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: hopper)
    monkeypatch.setattr(torch.cuda, "_compile_kernel", fails)
    assert gpu.available([5, 6, 3], 4, False, "sgd", "multiclass") is None
    said = "ranktwo: no kernel for this GPU (libnvrtc.so.13: cannot open shared object file); PyTorch takes the steps"
    assert said in capsys.readouterr().err


def test_no_toolkit_has_to_be_installed_for_the_kernel(monkeypatch):
    def needs_folder_of_headers(source: str, name: str, **options: object) -> SimpleNamespace:
        assert cpp_extension.include_paths("cuda")  # what torch itself asks for, and fails where there is no toolkit
        return SimpleNamespace(set_shared_memory_config=lambda size: None)

    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    monkeypatch.setattr(torch.cuda, "_compile_kernel", needs_folder_of_headers)
    kernel = gpu.kernel_for([5, 7, 3], 4, False, "sgd", "multiclass", HOPPER, GROUPS)
    assert kernel and gpu.compiled(kernel)


def test_a_stack_whose_nets_have_all_diverged_is_left_with_none(monkeypatch):
    """With targets of their own, of which there are none then either."""
    launched: list[tuple[int, ...]] = []
    monkeypatch.setattr(gpu, "compiled", lambda kernel: lambda grid, *rest: launched.append(grid))
    kernel = gpu.kernel_for([5, 7, 3], 4, False, "sgd", "multiclass", HOPPER, GROUPS)
    monkeypatch.setattr(stack, "fastest_steps", lambda nets: KernelSteps(kernel, nets))
    training = beginning(grid((5, 7, 3), batch_size=4, label_noise=0.2, steps=10), (5, 7, 3), "multiclass")
    training.freeze(torch.ones(3, dtype=torch.bool), [1, 1, 1])
    training.advance_to(10)
    assert len(training.alive) == 0 and not launched


def needs_gpu(test: Callable) -> Callable:
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")(test))


ON_GPU = [
    ((784, 256, 10), 4),
    ((784, 256, 10), 16),
    ((784, 256, 10), 64),
    ((784, 256, 256, 10), 16),
    ((64, 128, 10), 16),
    ((64, 128, 10), 256),
    ((8, 256, 1), 16),
    ((31, 128, 1), "full"),
    ((20, 48, 36, 24, 40), 12),
]


@needs_gpu
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
@pytest.mark.parametrize(("sizes", "batch_size"), ON_GPU, ids=str)
def test_a_gpu_takes_the_steps_of_a_cpu(sizes, batch_size, optimizer):
    """AdamW's first steps are as large as ever where a gradient is mere rounding; float64 differs by as much."""
    rows, task = 300, "multiclass" if sizes[-1] > 1 else "regression"
    rate = 0.001 if optimizer == "adamw" else 0.01
    cells = grid(sizes, count=5, optimizer=optimizer, batch_size=batch_size, learning_rate=rate, steps=40)
    ours, theirs = (beginning(cells, sizes, task, device, rows) for device in ("cuda", "cpu"))
    for training in (ours, theirs):
        training.advance_to(40)
    assert difference(ours, theirs) < (1e-3 if optimizer == "adamw" else 1e-5)


@needs_gpu
@pytest.mark.parametrize(("sizes", "batch_size"), ON_GPU, ids=str)
def test_on_a_gpu_a_cell_s_bits_do_not_depend_on_the_cells_beside_it(sizes, batch_size):
    rows, task = 300, "multiclass" if sizes[-1] > 1 else "regression"
    cells = grid(sizes, count=150, batch_size=batch_size, learning_rate=0.01, steps=700)
    whole = batch_size == "full"
    if gpu.available(list(sizes), rows if whole else batch_size, whole, "sgd", task) is None:
        pytest.skip("steps are torch's here, whose products depend on the stack")
    many, few = (beginning(some, sizes, task, "cuda", rows) for some in (cells, cells[1:3]))
    for training in (many, few):
        training.advance_to(700)
    for all_cells, two in zip(many.stack.weights, few.stack.weights, strict=True):
        assert torch.equal(all_cells[1:3], two)


@needs_gpu
@pytest.mark.parametrize("batch_size", [16, 256])
def test_on_a_gpu_a_diverged_cell_is_frozen_at_its_step_and_neighbours_never_notice(batch_size):
    sizes, axes = (20, 48, 1), {"widths": (48,), "batch_size": batch_size, "steps": 3000}
    calm = [a_cell(weight_decay=mu, **axes) for mu in (0.0, 0.1)]
    wild = [a_cell(learning_rate=eta, seed=seed, **axes) for eta, seed in ((3.0, 0), (30.0, 3))]
    mixed = beginning([calm[0], wild[0], calm[1], wild[1]], sizes, "regression", "cuda", 300)
    alone = beginning(calm, sizes, "regression", "cuda", 300)
    expected = beginning(wild, sizes, "regression", "cpu", 300)
    for training in (mixed, alone, expected):
        training.advance_to(3000)
    assert mixed.alive.tolist() == [0, 2]
    assert [mixed.diverged[1], mixed.diverged[3]] == [expected.diverged[0], expected.diverged[1]]
    for ours, theirs in zip(mixed.stack.weights, alone.stack.weights, strict=True):
        assert torch.equal(ours, theirs)
