"""Data whose truth is planted, for a study of what the verdicts say where the answer is known.

Inputs are standard normal. Nets have no biases, so targets have mean zero over the inputs' law: neurons come in pairs
of opposite sign, and nothing but the planted directions is needed.
"""

from pathlib import Path

import numpy as np

from ranktwo.data.sources.base import Raw, declared, source


@source("planted-rank-1", "planted-rank-2", "planted-rank-4", rows=(800,), columns=10, kind="regression", planted=True)
def planted_ranks(name: str, folder: Path, download: bool) -> Raw:
    """y = sum_r +- relu(v_r . x), of orthonormal v_r: of rank two and four; of rank one y = v . x, two such neurons."""
    random = np.random.default_rng(1)
    x = _inputs(name, random)
    rank = int(name[-1])
    directions = np.linalg.qr(random.standard_normal((x.shape[1], rank)))[0]
    y = (x @ directions)[:, 0] if rank == 1 else np.maximum(x @ directions, 0) @ np.resize([1.0, -1.0], rank)
    return Raw(kind="regression", train_x=x, train_y=y, verified="structure")


@source("planted-abs", rows=(800,), columns=10, kind="regression", planted=True)
def planted_abs(name: str, folder: Path, download: bool) -> Raw:
    """y = |x_1| + ... + |x_5| - |x_6| - ... - |x_10|: each input is needed, on both sides, so that the rank is ten."""
    x = _inputs(name, np.random.default_rng(2))
    y = np.abs(x) @ np.repeat([1.0, -1.0], x.shape[1] // 2)
    return Raw(kind="regression", train_x=x, train_y=y, verified="structure")


@source("planted-two-inputs", rows=(800,), columns=2, kind="regression", planted=True)
def planted_two_inputs(name: str, folder: Path, download: bool) -> Raw:
    """y = |x_1| - |x_2| of two inputs: V has rank two at most, whatever the training."""
    x = _inputs(name, np.random.default_rng(3))
    return Raw(kind="regression", train_x=x, train_y=np.abs(x) @ np.array([1.0, -1.0]), verified="structure")


@source("planted-xor", rows=(800,), columns=10, kind="classification", classes=2, planted=True)
def planted_xor(name: str, folder: Path, download: bool) -> Raw:
    """Class 1 where x_1 x_2 > 0, of ten inputs: linear models have no skill, and |x_1 + x_2| - |x_1 - x_2| is right."""
    x = _inputs(name, np.random.default_rng(4))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    return Raw(kind="classification", train_x=x, train_y=y, verified="structure")


@source("planted-random", rows=(800,), columns=10, kind="classification", classes=2, planted=True)
def planted_random(name: str, folder: Path, download: bool) -> Raw:
    """Labels tossed independently of the inputs: there is nothing to learn but the training rows themselves."""
    random = np.random.default_rng(5)
    x = _inputs(name, random)
    return Raw(kind="classification", train_x=x, train_y=random.integers(0, 2, len(x)), verified="structure")


def _inputs(name: str, random: np.random.Generator) -> np.ndarray:
    """Standard normal numbers, as many rows and columns as the source declares."""
    facts = declared(name)
    return random.standard_normal((*facts.rows, facts.columns or 0))
