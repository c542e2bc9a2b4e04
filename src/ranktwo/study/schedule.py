"""TODO study.schedule."""

import math

import numpy as np
from numpy.typing import NDArray


def schedule_factor(cosine: bool, t: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """What the learning rate is multiplied by at steps t: (1 + cos(pi t / steps)) / 2, or 1 if constant."""
    return (1 + np.cos(math.pi * t / steps)) / 2 if cosine else np.ones(len(t))


def snapshot_steps(steps: int, count: int) -> list[int]:
    """Step 0 and `count` log-spaced steps from 1 to `steps`, both included; rounded, small ones may coincide."""
    if count == 1:
        return [0, steps]
    spaced = (round(steps ** (index / (count - 1))) for index in range(count))
    return sorted({0, steps, *spaced})
