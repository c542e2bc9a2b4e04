"""TODO data.sources.fetching."""

import argparse
import contextlib
import difflib
import gzip
import hashlib
import json
import math
import os
import socket
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
import numpy as np
import torch
from torch import Tensor
from ranktwo.errors import UserError

# Files of sources: fetched whole or not at all, never believed.


def ensure_files(
    name: str, folder: Path, paths: Iterable[Path], download: bool, fetch: Callable[[Path], object]
) -> None:
    """Have the files `paths` in `folder`: if one is absent, `fetch(temporary)` gets them, laid out as in `folder`.

    A file that is there is never replaced, and a failed download leaves none. UserError where a file stays absent.
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
    except Exception as error:  # whatever a server, a proxy or an archive can do
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{name} could not be downloaded into {folder} ({reason}); get it on a machine with a network and put "
            f"{absent} and the files that belong to it there"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def file_content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}; delete it and get it again")


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def torchvision_datasets() -> Any:
    """The module torchvision.datasets, also where torchvision was built for another torch than is installed.

    torchvision's compiled operators do not load then, as the CUDA build's beside a CPU torch, and its import stops at
    the first operator that it wants to annotate. The data sets need none, so declaring the names suffices. A proper
    build never gets that far, and must not: declaring an operator twice is an error.
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
