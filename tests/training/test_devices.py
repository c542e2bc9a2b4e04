"""Training jobs side by side never share a GPU; without one they train on the CPU and say so."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import ROOT, SMALL, a_cell, a_dataset, copy_project, never_shared, patience, run_study
from training_support import toy_data

from ranktwo.data import preparation
from ranktwo.data.dataset import Dataset
from ranktwo.data.options import Options
from ranktwo.errors import UserError
from ranktwo.progress import Progress
from ranktwo.store import files, records
from ranktwo.store.records import Record
from ranktwo.study.jobs import Job
from ranktwo.training import devices, divergence, recording
from ranktwo.training.backends import choice
from ranktwo.training.backends.torch_ops import TorchSteps
from ranktwo.training.divergence import Training

HOLD = (
    "import sys, time; from ranktwo.training import devices\n"
    "with devices.own_gpu() as gpu:\n"
    "    start = time.time(); print(gpu, start, flush=True); time.sleep(float(sys.argv[1])); print(time.time())\n"
)


@pytest.fixture
def two_gpus(tmp_path, monkeypatch) -> None:
    """An nvidia-smi that lists two GPUs, and nobody else's locks."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-test-a)'\necho 'GPU 1: B (UUID: GPU-test-b)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def hold(seconds: float, **variables: str) -> subprocess.Popen:
    command = [sys.executable, "-c", HOLD, str(seconds)]
    return subprocess.Popen(
        command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_gpus_are_held_by_two_of_six_jobs_at_a_time(two_gpus):
    jobs = [hold(0.4) for _ in range(6)]
    holds = [job.communicate(timeout=patience(12))[0].split() for job in jobs]
    assert [len(hold) for hold in holds] == [3] * 6
    assert {gpu for gpu, *_ in holds} == {"GPU-test-a", "GPU-test-b"}
    never_shared(holds)


@pytest.mark.slow
def test_a_killed_job_leaves_its_gpu_to_the_next(two_gpus):
    killed = hold(60, CUDA_VISIBLE_DEVICES="1")
    assert killed.stdout.readline().startswith("GPU-test-b ")
    waiting = hold(0, CUDA_VISIBLE_DEVICES="GPU-test-b")
    assert waiting.stderr.readline() == "waiting: other jobs hold the GPU\n"
    killed.kill()
    killed.communicate()
    assert waiting.communicate(timeout=patience(6))[0].startswith("GPU-test-b ")


@pytest.mark.parametrize(
    ("setting", "seen"),
    [(None, ["GPU-test-a", "GPU-test-b"]), ("1", ["GPU-test-b"]), ("", []), ("-1", []), ("1,7,0", ["GPU-test-b"])],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(two_gpus, monkeypatch, setting, seen):
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert devices.visible() == seen


def test_the_gpu_that_slurm_gave_is_taken_as_it_is(two_gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with devices.own_gpu() as one, devices.own_gpu() as other:
        assert one == other == "1"


@pytest.mark.skipif(torch.backends.cuda.is_built(), reason="PyTorch is built with CUDA here")
def test_a_gpu_that_pytorch_cannot_use_is_named_and_the_cpu_is_used(two_gpus, capsys):
    with devices.reserve("auto") as device:
        assert (device, devices.name(device)) == ("cpu", "cpu")
    assert "GPU-test-a, GPU-test-b is not used: this PyTorch was built without CUDA" in capsys.readouterr().err
    with pytest.raises(UserError, match="device is cuda, but PyTorch sees no GPU"), devices.reserve("cuda"):
        pass


def by_command(folder: Path, **variables: str) -> tuple[dict[str, Record], str]:
    """What the command leaves of three cells on iris, and what it says."""
    cells = [a_cell(train_size=80, seed=seed) for seed in range(3)]
    job = Job(stack="toy", options={"source": "iris"}, snapshots=3, cells=cells)
    folder.mkdir()
    (folder / "job.json").write_text(job.text())
    files.write_tensors(folder / "data", *preparation.prepare("toy", Options(source="iris"), folder, False))
    paths = [f"--{option}={name}" for option, name in [("dataset", "data"), ("weights", "w"), ("history", "h")]]
    done = subprocess.run(
        [sys.executable, "-m", "ranktwo", "train", "--job=job.json", *paths, "--device=cpu"],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=patience(12),
    )
    assert done.returncode == 0, done.stderr
    return records.read_records(folder / "w", folder / "h"), done.stderr


@pytest.mark.slow
def test_without_numba_the_nets_are_the_same_to_rounding_and_the_log_says_why_they_took_longer(tmp_path):
    """50 steps are few enough for rounding to stay small; tolerance 1e-4, relative to the largest weight."""
    # Python runs a file of this name at its start; a module that is None cannot be imported.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None")
    usual, said = by_command(tmp_path / "with")
    without, said_without = by_command(tmp_path / "without", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT / 'src'}")
    assert "numba" not in said
    assert said_without.count("numba does not work here (") == 1
    assert "to have that, install a numba that fits" in said_without
    for name, record in usual.items():
        for matrix, weights in record.weights.items():
            difference = (weights - without[name].weights[matrix]).abs().max()
            assert difference <= 1e-4 * weights.abs().max(), (name, matrix)


@pytest.mark.slow
def test_a_limit_of_no_gpu_is_refused_in_one_sentence(tmp_path):
    checkout = copy_project(tmp_path)
    done = run_study(checkout, SMALL, "--resources", "gpu=0", "--dry-run")
    assert done.returncode != 0
    assert "ranktwo: --resources gpu=0 limits nothing in Snakemake" in done.stderr
    assert run_study(checkout, SMALL, "--resources", "gpu=2", "--dry-run").returncode == 0


def toy() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 5, generator=generator), torch.randint(0, 3, (40,), generator=generator)
    return a_dataset("multiclass", 3, x, y, 30)


def trained(cells: int, device: str = "cpu") -> dict[str, Record]:
    wanted = {f"cell{seed}": a_cell(seed=seed) for seed in range(cells)}
    bar = Progress("toy", 50 * cells, "cell-steps")
    return recording.train(wanted, toy(), snapshots=4, device=device, progress=bar)


def test_a_slice_too_large_for_the_memory_is_halved_and_its_numbers_stay(monkeypatch, capsys):
    whole, begin = trained(7), divergence.begin

    def limited(cells: list, *arguments: object) -> Training:
        if len(cells) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return begin(cells, *arguments)

    monkeypatch.setattr(divergence, "begin", limited)
    parts = trained(7)
    assert "7 nets at once do not fit into the GPU's memory; halved" in capsys.readouterr().err
    assert list(parts) == list(whole)
    for name, record in whole.items():
        assert record.history == parts[name].history
        assert all(torch.equal(weights, parts[name].weights[matrix]) for matrix, weights in record.weights.items())


def test_a_net_that_does_not_fit_alone_ends_in_a_sentence(monkeypatch):
    def none(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(divergence, "begin", none)
    with pytest.raises(UserError, match="one net of toy with widths .6,. does not fit"):
        trained(3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_trains_the_cpu_s_nets_to_rounding():
    """50 steps are few enough for rounding to stay small; tolerance 1e-4, relative to the largest weight."""
    cpu, gpu = trained(9), trained(9, device="cuda")
    for name, record in cpu.items():
        for matrix, weights in record.weights.items():
            difference = (weights - gpu[name].weights[matrix]).abs().max()
            assert difference <= 1e-4 * weights.abs().max(), (name, matrix)


def test_where_numba_cannot_be_imported_torch_trains_and_a_sentence_says_so_once(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ranktwo.training.backends.kernels", None)
    choice.numba_works.cache_clear()
    with contextlib.ExitStack() as stack:
        stack.callback(choice.numba_works.cache_clear)
        for _ in range(2):
            training = divergence.begin([a_cell()], *toy_data("binary"), "binary", 1)
            assert isinstance(training.stack._steps, TorchSteps)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("numba does not work here (import of ranktwo.training.backends.kernels halted")
