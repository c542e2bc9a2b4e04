"""The device of a training job: a GPU that no other job uses, the one that SLURM gave the job, or the CPU."""

import contextlib
import errno
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import torch

from ranktwo.errors import UserError

POLL = 0.5
"""Seconds between looks for a free GPU."""


@contextlib.contextmanager
def reserve(asked: str) -> Iterator[str]:
    """`cpu` or `cuda` for what was asked for; `auto` is a GPU where PyTorch can use one.

    No other job uses this GPU until the block ends, and CUDA shows this process no other one. The block has to be
    entered before anything initialises CUDA, which reads CUDA_VISIBLE_DEVICES once. Raises UserError if `cuda` is asked
    for and PyTorch sees no GPU.
    """
    with contextlib.ExitStack() as stack:
        usable = asked != "cpu" and torch.backends.cuda.is_built()
        if usable and (gpu := stack.enter_context(own_gpu())):
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        if usable and torch.cuda.is_available():
            yield "cuda"
        elif asked == "cuda":
            raise UserError(
                "device is cuda, but PyTorch sees no GPU here; set `device: auto` or `device: cpu` in the config"
            )
        else:
            if asked == "auto" and (unused := visible()):
                why = "finds no driver for it" if usable else "was built without CUDA"
                print(f"GPU {', '.join(unused)} is not used: this PyTorch {why}", file=sys.stderr)
            yield "cpu"


def name(device: str) -> str:
    """The device as results record it: `cpu`, or what torch calls the GPU."""
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def installed() -> list[str]:
    """UUIDs of this machine's GPUs, or of their MIG slices, in nvidia-smi's order; none where it is not installed."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = re.findall(r"^(\s*).*\(UUID: ([\w/-]+)\)", listed.stdout, flags=re.MULTILINE)
    slices = [uuid for indent, uuid in lines if indent]
    return slices or [uuid for _, uuid in lines]


def visible() -> list[str]:
    """The installed GPUs that CUDA_VISIBLE_DEVICES names; its own entries where the GPUs cannot be listed."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return installed()
    uuids, chosen = installed(), []
    for entry in wanted.split(","):
        match = [uuid for uuid in uuids if uuid.startswith(entry)] if entry else []
        if entry.isdigit() and int(entry) < len(uuids):
            match = [uuids[int(entry)]]
        if not match and (uuids or not re.fullmatch(r"\d+|(GPU|MIG)-.+", entry)):
            break  # as CUDA does: it ignores all entries after one that names no GPU
        chosen += match or [entry]
    return chosen


@contextlib.contextmanager
def own_gpu() -> Iterator[str | None]:
    """A visible GPU that no other process holds, waiting for one if need be; None where there is none.

    A single GPU that SLURM assigned is used without a hold: whether it is shared is the cluster's decision.
    """
    gpus = visible()
    if not gpus:
        yield None
        return
    if len(gpus) == 1 and "SLURM_JOB_ID" in os.environ:
        yield os.environ.get("CUDA_VISIBLE_DEVICES", gpus[0])
        return
    waiting = False
    while True:
        for gpu in gpus:
            if held := _hold(gpu):
                with held:
                    yield gpu
                return
        if not waiting:
            busy = "the GPU" if len(gpus) == 1 else f"all {len(gpus)} GPUs"
            print(f"waiting: other jobs hold {busy}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL)


def _hold(gpu: str) -> socket.socket | None:
    """A hold on a GPU, until it is closed or the process ends; None while another process has one.

    It is a name that the system gives to one socket of the machine at a time, whoever its user. No file is written, so
    that neither a file system without locks nor another user's rights are in the way.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0ranktwo-{gpu}")
        return held
    except OSError as error:
        held.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
