"""Files of sources: fetched whole or not at all, and never trusted before they are checked."""

import contextlib
import hashlib
import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from ranktwo.errors import UserError


def ensure_files(
    name: str, folder: Path, paths: Iterable[Path], download: bool, fetch: Callable[[Path], object]
) -> None:
    """Make sure that all `paths` exist. If one is absent and `download` is set, `fetch(temporary)` gets the files.

    `fetch` lays them out in the folder `temporary` as they belong in `folder`. A file that exists is never replaced. A
    failed download leaves no file. Raises UserError if a file stays absent.
    """
    absent = next((path for path in paths if not os.path.exists(path)), None)
    if absent is None:
        return
    if not download:
        raise UserError(
            f"{name} needs {absent}, which does not exist; put the file there, or name another folder with "
            "`data_folder` in the config or with the environment variable RANKTWO_DATA, or set `download: true` in the "
            "config"
        )
    patience = socket.getdefaulttimeout()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            socket.setdefaulttimeout(30)  # a firewall that drops packets must not hang a job
            with warnings.catch_warnings(action="ignore"):
                fetch(Path(temporary))
            for path in filter(Path.is_file, Path(temporary).rglob("*")):
                target = folder / path.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    os.replace(path, target)
    except Exception as error:  # a server, a proxy or an archive can fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{name} could not be downloaded into {folder} ({reason}); get it on a machine with a network and put "
            f"{absent} and the files that belong to it there"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def file_content(path: Path) -> bytes:
    """All bytes of a file; UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its rights") from error


def damaged(path: Path, what: str) -> UserError:
    """The error for a file that is not what it should be; `what` is the verb and the rest of the sentence."""
    return UserError(f"{path} {what}; delete it and get it again")


def md5_of(content: bytes) -> str:
    """MD5 in hexadecimal digits, the checksum that torchvision publishes of its files."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def torchvision_datasets() -> Any:
    """The module torchvision.datasets, even if torchvision was built for another torch than the installed one.

    The compiled operators of torchvision do not load then; a build for CUDA beside a torch for CPUs is such a case. Its
    import stops at the first operator that it refers to. Reading data sets needs no operator, so it is enough to
    declare the two operators by name and to import again. A fitting build is imported at the first try. It declares
    the operators itself, and declaring one twice is an error, so we declare them only after a failure.
    """
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.suppress(RuntimeError):
            import torchvision.datasets

            return torchvision.datasets
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        import torchvision.datasets

        return torchvision.datasets
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"torchvision cannot be imported ({' '.join(str(error).split())}); "
            f"install the release made for torch {torch.__version__}"
        ) from error
