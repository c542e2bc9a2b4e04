"""Where a result comes from: the code that made it, its inputs, the config, and the software and machine it ran on.

`python -m ranktwo provenance FILE` prints it.
"""

import hashlib
import importlib.metadata
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ranktwo.errors import UserError
from ranktwo.store import files
from ranktwo.store.fingerprints import PACKAGE, fingerprint

STARTED = datetime.now(UTC)
"""When this process began."""
ASKED: dict[str, Any] = {"study": None, "identity": None}
"""What Snakemake said when it started this job: the config's name and hash, and the job's identity. None by hand."""


def circumstances(
    stage: str, inputs: Iterable[Path] | Mapping[Path, str] = (), *, device: str = "cpu", **chosen: str
) -> dict[str, Any]:
    """Where a result of `stage` comes from, to be written into its metadata; device as torch names it.

    `command` repeats it. `inputs` gives each file it was made from the first 16 digits of its SHA-256, which are worked
    out unless they are given. `datasets` and `code` hold the checksums of the data sets and the fingerprints of the
    stages behind it, those of the inputs included. `study` is the config that Snakemake ran with, and `identity` what
    it asked this job for; both are null for a command run by hand. `commit` and `dirty` are null unless the package
    lies in a checkout of its own. Times are in UTC and seconds. `chosen` names the registered functions that made it,
    as for `fingerprint`.
    """
    hashes = inputs if isinstance(inputs, Mapping) else {path: file_hash(path) for path in inputs}
    name = chosen.get("analysis", stage)
    datasets: dict[str, str] = {}
    code = {name: {fingerprint(stage, **chosen)}}
    for path in hashes:
        metadata = files.read_metadata(path)
        if "checksum" in metadata:
            datasets[metadata["name"]] = metadata["checksum"]
        origin = metadata.get("provenance", {})
        datasets |= origin.get("datasets", {})
        for other, prints in origin.get("code", {}).items():
            code.setdefault(other, set()).update(prints)
    commit = _commit()
    packages = ("ranktwo", "torch", "numba", "scipy", "numpy", "pandas", "pyarrow", "safetensors")
    return {
        "stage": name,
        "command": ["python", "-m", "ranktwo", stage, *sys.argv[1:]],
        **ASKED,
        "inputs": {str(path): digits for path, digits in hashes.items()},
        "datasets": datasets,
        "code": {other: sorted(prints) for other, prints in code.items()},
        "commit": commit,
        "dirty": _git("status", "--porcelain", "--untracked-files=no") != "" if commit else None,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "device": device,
        "machine": platform.platform(),
        "threads": 1,  # of each process, in all stages
        "started": STARTED.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - STARTED).total_seconds(), 3),
    }


def mark() -> str:
    """What a page or picture says of the identity of the job that made it, `made for: [...]`; empty by hand."""
    return f"made for: [{ASKED['identity']}]" if ASKED["identity"] else ""


def identity_of(path: Path) -> str | None:
    """The identity of the job that made a file; None where there is no such file, or it does not say.

    Parquet and safetensors files say it in their metadata, other files by `mark` in their first bytes.
    """
    try:
        if path.suffix in (".parquet", ".safetensors"):
            return files.read_metadata(path)["provenance"].get("identity")
        with open(path, "rb") as file:
            found = re.search(rb"made for: \[([^\]]*)\]", file.read(8192))
        return found[1].decode() if found else None
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return None


def is_of(path: Path, stage: str, identity: str, inputs: Iterable[str]) -> bool:
    """Whether a table is whole, and was made by this stage for this identity from files with these hashes."""
    if identity_of(path) != identity:
        return False
    try:
        _, metadata = files.read_parquet(path, stage)
    except UserError:
        return False
    return list(metadata["provenance"]["inputs"].values()) == list(inputs)


def file_hash(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the package's own checkout; None where there is none, as in a copy inside another repository."""
    top = _git("rev-parse", "--show-toplevel")
    own = top is not None and Path(top).resolve() == PACKAGE.parents[1].resolve()
    return _git("rev-parse", "HEAD") if own else None


def _git(*arguments: str) -> str | None:
    """Output of a git command in the package's folder; None where it fails or there is no git."""
    try:
        done = subprocess.run(["git", "-C", PACKAGE, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def described(path: Path) -> str:
    """What a person wants to know of where a file comes from, and whether what it was made from is still there."""
    metadata = files.read_metadata(path)
    origin = metadata["provenance"]
    study, runs = origin["study"], metadata.get("runs", [])
    lines = {
        "made by": f"{origin['stage']}, started {origin['started']}, {origin['seconds']:.1f} s",
        "study": f"{study['config']}, hash {study['hash']}" if study else "none: a command run by hand",
        "commit": (origin["commit"] or "unknown") + (", with uncommitted changes" if origin["dirty"] else ""),
        "code": ", ".join(f"{stage} {' and '.join(prints)}" for stage, prints in sorted(origin["code"].items())),
        "versions": ", ".join(f"{name} {version}" for name, version in origin["versions"].items()),
        "machine": f"{origin['machine']}; {origin['device']}, {origin['threads']} thread(s)",
        "data sets": ", ".join(f"{name} {checksum[:16]}" for name, checksum in sorted(origin["datasets"].items())),
    }
    text = [str(path), *(f"  {name:<10} {value}" for name, value in lines.items())]
    if "cells" in metadata:
        text.append(f"  {'cells':<10} {len(metadata['cells'])}, trained in {len(runs)} run(s)")
        text += [f"    {name}: run {', '.join(map(str, cell['runs']))}" for name, cell in metadata["cells"].items()]
        text += [
            f"    run {number}: started {run['started']}, {run['seconds']:.1f} s, on {run['device']}, "
            f"commit {(run['commit'] or 'unknown')[:7]}, torch {run['versions']['torch']}"
            for number, run in enumerate(runs)
        ]
    states = {source: _state(Path(source), digits) for source, digits in origin["inputs"].items()}
    text.append(
        f"  {'made from':<10} {len(states)} file(s)" + (", all as they were" if not any(states.values()) else "")
    )
    text += [f"    {source}: {state}" for source, state in states.items() if state]
    text.append(f"  {'to repeat':<10} {shlex.join(origin['command'])}")
    return "\n".join(text)


def _state(path: Path, digits: str) -> str:
    """Empty if a file has the content it had."""
    try:
        return "" if file_hash(path) == digits else "has changed since"
    except OSError:
        return "is not there (paths count from the folder in which snakemake ran)"
