"""TODO data.sources.base."""

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
from ranktwo.data.dataset import fingerprint


@dataclass(frozen=True, kw_only=True, eq=False)
class Raw:
    """A source as read, before any choice: x [N, n] of any real dtype, y [N] values or the classes 0..C-1."""

    kind: Literal["classification", "regression"]
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray | None = None  # None: the source has no test part of its own
    test_y: np.ndarray | None = None
    verified: Literal["checksum", "structure"]  # how the content was compared with what was published

    @property
    def checksum(self) -> str:
        """SHA-256 of the content, whatever container it came in."""
        arrays = {key: getattr(self, key) for key in ("train_x", "train_y", "test_x", "test_y")}
        return fingerprint({key: array for key, array in arrays.items() if array is not None})


# Sources.


Loader = Callable[[str, Path, bool], Raw]
SOURCES: dict[str, Loader] = {}


def source(*names: str) -> Callable[[Loader], Loader]:
    """Register `loader(name, folder, download) -> Raw` for these sources; bad data are its UserError."""

    def register(loader: Loader) -> Loader:
        SOURCES.update(dict.fromkeys(names, loader))
        return loader

    return register


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is known of a source before it is read."""

    rows: tuple[int, ...]
    """Rows of its parts: all, or training and test."""
    shape: tuple[int, ...]
    """Of one row."""
    loader: str = ""
    """Its name in sklearn.datasets or torchvision.datasets."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of its files' content, by file name."""
