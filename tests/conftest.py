"""What several test files share: tiny data sets and cells, and the real data where they lie beside the checkout."""

import os
from pathlib import Path

import pytest
import torch

from ranktwo.grid import Cell

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("RANKTWO_DATA") or ROOT.parent / "shared" / "data")
# Commands that tests start are those of this checkout.
os.environ["PYTHONPATH"] = str(ROOT / "src")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """The promise of equal bits is made for one thread."""
    torch.set_num_threads(1)


def needs_real(*names: str) -> pytest.MarkDecorator:
    """Marks a test that reads real data, which lie beside the checkout or where RANKTWO_DATA says."""
    absent = [name for name in names if not (REAL_DATA / name).exists()]
    reason = f"no {', '.join(absent)} in {REAL_DATA}; name a folder in RANKTWO_DATA"
    return pytest.mark.skipif(bool(absent), reason=reason)


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
