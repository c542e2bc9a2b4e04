"""TODO data.options."""

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
from ranktwo.data.sources.base import SOURCES, source
from ranktwo.errors import UserError

Scaling = Literal["feature", "global", "unit", "none"]


# Options: what a user chooses.


@dataclass(frozen=True, kw_only=True)
class Options:
    """What determines a prepared data set, beside its source's content; UserError where a value is out of range."""

    source: str
    """One of SOURCES."""
    classes: Sequence[int] | None = None
    """Classes to keep, as the source numbers them, two or more; the i-th becomes class i. None keeps all."""
    test_size: int | None = None
    """Rows of the test part. None: all of the source's own test part, or a quarter of a source that has none."""
    scaling: Scaling = "feature"
    """By the training part: each feature to mean 0 and sd 1 (a constant one to 0), all by one global mean and sd, the
    unit interval by the largest absolute value, or none."""
    clip: float | None = None
    """Scaled features are clipped to +-clip (in sd where the scaling is by sd). None clips nothing."""
    bias: bool = False
    """Whether a column of ones is appended, after scaling and clipping."""
    seed: int = 0
    """Determines the split and the order of the rows, together with the source and its classes alone."""

    def __post_init__(self) -> None:
        if self.source not in list(SOURCES):  # a list, because JSON can hold what no dict looks up
            raise _unknown("source", self.source, SOURCES)
        number = type(self.clip) in (int, float)
        labels = self.classes if isinstance(self.classes, (list, tuple)) else []
        distinct = len(labels) == len(set(map(repr, labels))) >= 2 and all(type(label) is int for label in labels)
        for key, valid, wanted in (
            ("classes", self.classes is None or distinct, "null or a list of at least two different class numbers"),
            ("test_size", self.test_size is None or _whole(self.test_size, 1), "null or a whole number from 1"),
            ("scaling", self.scaling in get_args(Scaling), "one of " + ", ".join(get_args(Scaling))),
            ("clip", self.clip is None or number and 0 < self.clip < math.inf, "null or a positive number"),
            ("bias", type(self.bias) is bool, "true or false"),
            ("seed", _whole(self.seed, 0), "a whole number from 0"),
        ):
            if not valid:
                raise UserError(f"the option {key} must be {wanted}, not {json.dumps(getattr(self, key))}")


def read_options(text: str) -> Options:
    """Options from a JSON object; UserError if it is not one, or a key or a value in it is not known."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UserError(f"the options are not JSON ({error}): {text}") from error
    if not isinstance(given, dict) or "source" not in given:
        raise UserError(f'the options must be a JSON object with a "source", not {text}')
    known = [option.name for option in fields(Options)]
    for key in given:
        if key not in known:
            raise _unknown("option", key, known)
    return Options(**given)


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _unknown(kind: str, name: Any, known: Iterable[str]) -> UserError:
    near = difflib.get_close_matches(str(name), known, n=1)
    guess = f", did you mean {near[0]}?" if near else ";"
    return UserError(f"unknown {kind} {name}{guess} known are {', '.join(known)}")
