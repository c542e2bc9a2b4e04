"""The device of a training job: a GPU of its own, the one that SLURM gave it, or the CPU."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import torch

from ranktwo.errors import UserError

# Of this machine and of all its users, unlike TMPDIR and the folder of results.
LOCKS = Path("/tmp")
POLL = 0.5


@contextlib.contextmanager
def reserve(asked: str) -> Iterator[str]:
    """`cpu` or `cuda` for what was asked for; `auto` is a GPU where PyTorch can use one.

    A GPU is this process's alone until the block ends, and the only one that CUDA shows it. To be entered before
    anything initialises CUDA, which reads CUDA_VISIBLE_DEVICES once. Raises UserError if `cuda` is asked for in vain.
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
    """UUIDs of this machine's GPUs, or of their MIG slices, in nvidia-smi's order; none where that is not installed."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = re.findall(r"^(\s*).*\(UUID: ([\w/-]+)\)", listed.stdout, flags=re.MULTILINE)
    sliced = [uuid for indent, uuid in found if indent]
    return sliced or [uuid for _, uuid in found]


def visible() -> list[str]:
    """What CUDA_VISIBLE_DEVICES leaves of the installed GPUs, or its own entries where they cannot be listed."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return installed()
    uuids, chosen = installed(), []
    for entry in wanted.split(","):
        match = [uuid for uuid in uuids if uuid.startswith(entry)] if entry else []
        if entry.isdigit() and int(entry) < len(uuids):
            match = [uuids[int(entry)]]
        if not match and (uuids or not re.fullmatch(r"\d+|(GPU|MIG)-.+", entry)):
            break  # as CUDA does: what stands behind an entry that names no GPU is not seen
        chosen += match or [entry]
    return chosen


@contextlib.contextmanager
def own_gpu() -> Iterator[str | None]:
    """A visible GPU that no other process holds, waiting for one if need be; None where there is none.

    Held by a lock on a file of the GPU's name, which the kernel lets go however the process ends. A single GPU that
    SLURM assigned is taken as it is: sharing it, or not, is the cluster's decision.
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
            # Readable and writable by all, as the next job may be another user's.
            lock = filelock.FileLock(LOCKS / f"ranktwo-{gpu.replace('/', '-')}.lock", mode=0o666)
            try:
                held = lock.acquire(blocking=False)
            except filelock.Timeout:
                continue
            with held:
                yield gpu
            return
        if not waiting:
            held = "the GPU" if len(gpus) == 1 else f"all {len(gpus)} GPUs"
            print(f"waiting: other jobs hold {held}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL)
