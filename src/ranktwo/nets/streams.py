"""Random numbers that depend on a seed and a purpose alone, and on nothing else that is drawn or trained."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def random_seed(cell: Mapping[str, Any]) -> int:
    """The seed of a cell's initial weights, batches and label noise, made of its axes `seed` and `split`.

    In split 0 it is `seed`, and in every other split another number. So no two splits share initial weights or batches,
    and an interval over splits covers them, whether a study has one seed in all splits or several.
    """
    return _number(f"{cell['split']}:{cell['seed']}") if cell["split"] else cell["seed"]


def stream(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose ("init", "batches", "noise") of one seed, at its beginning."""
    return torch.Generator().manual_seed(_number(f"{purpose}:{seed}"))


def _number(text: str) -> int:
    """A number of 63 bits that no other text is likely to have."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
