"""Random numbers that depend on a seed and a purpose alone, and on nothing else that is drawn or trained."""

import hashlib

import torch


def stream(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose ("init", "batches", "noise") of one seed, at its beginning."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
