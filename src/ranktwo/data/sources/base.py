"""What a source of data is: its decorator, what it declares, and the arrays that it gives.

A source is a function `loader(name, folder, download, **own)` that returns `Raw` arrays. It lies in a file of its own
in this folder, marked with `@source("its-name")`. Nothing else has to be edited.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ranktwo.data.dataset import checksum_of
from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study.source_options import Kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Raw:
    """A source as it was read, before any choice: N samples of n features, and a target for each."""

    kind: Kind
    train_x: np.ndarray
    """[N, n], of any real dtype."""
    train_y: np.ndarray
    """[N]: values in regression, else the classes 0..C-1."""
    test_x: np.ndarray | None = None
    """The source's own test part; None if it has none."""
    test_y: np.ndarray | None = None
    verified: Literal["checksum", "structure"]
    """How the content was compared with what was published: byte by byte, or by its shape and labels only."""
    class_names: Sequence[str] | None = None
    """Of the classes 0..C-1, where they have names."""
    image: tuple[int, int, int] | None = None
    """Height, width and channels of a row that is an image, as in `Facts`; only where an option settles them."""

    @property
    def checksum(self) -> str:
        """SHA-256 of the arrays. It does not depend on the format of the files that held them."""
        arrays = {key: getattr(self, key) for key in ("train_x", "train_y", "test_x", "test_y")}
        return checksum_of({key: array for key, array in arrays.items() if array is not None})


Loader = Callable[..., Raw]


def source(*names: str, **facts: Any) -> Callable[[Loader], Loader]:
    """Register `loader(name, folder, download, **own)`, a function that reads the source `name` and returns `Raw`.

    Files of the source lie in `folder`. The loader may fetch absent files if `download`. It raises UserError if a file
    is absent or damaged. By keyword it gets the options that this source alone takes.

    facts: any of `Facts`. They must be literals, for they are read from the text of the file.
    """
    return lambda loader: loader


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a source before it is read; its decorator declares it."""

    rows: tuple[int, ...] = ()
    """How many the source has, or its training and its test part."""
    columns: int | None = None
    """Features of a row."""
    kind: Kind | None = None
    classes: int | None = None
    """How many there are, in classification."""
    planted: bool = False
    """Whether the truth is known, so that the report shows first what the verdicts say of it."""
    image: tuple[int, int, int] | None = None
    """Height, width and channels, where a row is an image: row by row of it, pixel by pixel, channel by channel."""


def declared(name: str) -> Facts:
    """The facts that the source's decorator declares. Its module is not imported."""
    return Facts(**registry.entries("source")[name].settings)


def read(name: str, folder: Path, download: bool, **own: Any) -> Raw:
    """The source's arrays; UserError if they cannot be had, make no data set, or differ from the declared facts.

    own: the options that this source alone takes.
    """
    raw = registry.load("source", name)(name, folder, download, **own)
    facts = declared(name)
    raw = replace(raw, image=raw.image or facts.image)
    problem = _malformed(raw) or _undeclared(raw, facts)
    if problem:
        raise UserError(f"the source {name} {problem}; mend {registry.entries('source')[name].module}")
    return raw


def _malformed(raw: Raw) -> str | None:
    """Why the arrays make no data set."""
    if (raw.test_x is None) != (raw.test_y is None):
        return "has only one of test_x and test_y"
    for part, x, y in (("train", raw.train_x, raw.train_y), ("test", raw.test_x, raw.test_y)):
        if x is None or y is None:
            continue
        if x.ndim != 2 or y.shape != x.shape[:1] or x.shape[1] != raw.train_x.shape[1]:
            return f"has {part}_x of shape {x.shape} and {part}_y of shape {y.shape}, where [N, n] and [N] are expected"
        if not all(np.isfinite(array).all() for array in (x, y) if np.issubdtype(array.dtype, np.floating)):
            return f"has {part} numbers that are not finite"
        if raw.kind == "classification" and (not np.issubdtype(y.dtype, np.integer) or y.min(initial=0) < 0):
            return f"has {part} labels that are not whole numbers from 0"
    if raw.kind == "classification" and len(np.unique(raw.train_y)) < 2:
        return "has training labels of fewer than two classes"
    if raw.kind == "classification" and raw.test_y is not None and not np.isin(raw.test_y, raw.train_y).all():
        return "has test labels that no training row has"
    return None


def _undeclared(raw: Raw, facts: Facts) -> str | None:
    """What differs from the declared facts."""
    rows = (len(raw.train_x),) if raw.test_x is None else (len(raw.train_x), len(raw.test_x))
    classes = len(np.unique(raw.train_y)) if raw.kind == "classification" else None
    given = {"rows": rows, "columns": raw.train_x.shape[1], "kind": raw.kind, "classes": classes}
    for key, value in given.items():
        expected = getattr(facts, key)
        if expected not in ((), None, value):
            return f"declares {key}={expected!r} but gives {value!r}"
    if raw.image and math.prod(raw.image) != raw.train_x.shape[1]:
        return f"declares images of {raw.image} but gives {raw.train_x.shape[1]} columns"
    return None
