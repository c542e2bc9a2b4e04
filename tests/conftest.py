"""What several test files share: tiny data sets and cells, and the real data where they lie beside the checkout."""

import os
from pathlib import Path

import pytest
import torch

from ranktwo.grid import Cell

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """The promise of equal bits is made for one thread."""
    torch.set_num_threads(1)


@pytest.fixture
def real_data() -> Path:
    """The folder with real MNIST and California Housing; skips where there is none."""
    folder = Path(os.environ.get("RANKTWO_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip(f"no real data: neither RANKTWO_DATA nor {folder} has them")
    return folder


def a_cell(**axes: object) -> Cell:
    """A small cell with some axes set."""
    defaults = {
        "dataset": "toy",
        "widths": (6,),
        "learning_rate": 0.05,
        "batch_size": 4,
        "weight_decay": 0.01,
        "steps": 50,
        "seed": 0,
    }
    return Cell(**defaults | axes)
