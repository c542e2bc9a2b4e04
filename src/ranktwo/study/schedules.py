"""Learning-rate schedules, registered by name, and the steps at which snapshots are made."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ranktwo.store import registry

Schedule = Callable[[NDArray[np.int64], int], NDArray[np.float64]]


def schedule(function: Schedule) -> Schedule:
    """Register a schedule: a function of steps t and the number T of all steps that gives eta_t/eta at each t."""
    return function


@schedule
def constant(t: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """1."""
    return np.ones(len(t))


@schedule
def cosine(t: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """(1 + cos(pi t / T)) / 2, from 1 down to 0."""
    return (1 + np.cos(math.pi * t / steps)) / 2


def schedule_factor(name: str, t: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """eta_t/eta of the named schedule at steps t of T, float64 of t's length."""
    return registry.load("schedule", name)(t, steps)


ALL, LAST = "all", "last"
"""Which snapshots' weights are kept: of all, or of the first and the last."""


def kept_steps(steps: list[int], keep: str) -> list[int]:
    """Of a cell's snapshots those whose weights are kept. The initial ones are what norms and distances start from."""
    return steps if keep == ALL else [steps[0], steps[-1]]


def snapshot_steps(steps: int, count: int) -> list[int]:
    """Step 0 and `count` log-spaced steps from 1 to `steps`, both included; rounded, small ones may coincide."""
    if count == 1:
        return [0, steps]
    spaced = (round(steps ** (index / (count - 1))) for index in range(count))
    return sorted({0, steps, *spaced})
