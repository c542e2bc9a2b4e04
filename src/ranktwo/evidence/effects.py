"""Effects: one number for each replicate, their mean with its interval, and tests of that mean.

A replicate is a pair of split and seed. A split's value is the mean over its seeds, and an effect is the mean over the
splits' values. With S splits of mean x and standard deviation s the 95 % interval is x +- t s / sqrt(S), t the 97.5th
percentile of Student's t with S - 1 degrees of freedom. It holds what splits and, inside them, seeds vary by. Where
there is one split alone, its seeds take the place of the splits, and the interval says nothing of other splits.
Fewer than 3 splits (or, of one split, 3 seeds) have no interval.
"""

from dataclasses import dataclass

import numpy as np
import pandas
from scipy.special import stdtr, stdtrit

LEVEL = 0.05
"""Of every test and interval: two-sided, so that either side has half of it."""
LEAST = 3
"""Fewest values of which there is an interval."""


@dataclass(frozen=True)
class Effect:
    """A mean and its interval; NaN where undefined."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    splits: int = 0
    replicates: int = 0
    error: float = np.nan
    """Standard error of the mean; NaN without an interval."""
    freedom: int = 0
    """Degrees of freedom of the error."""

    @classmethod
    def of(cls, values: pandas.Series, spread: float = 0.0) -> "Effect":
        """Of one value for each replicate, by (split, seed); nulls are left out.

        `spread` is the least standard deviation that values of this kind have by chance, however few agree.
        """
        known = values.dropna().astype(float)
        if known.empty:
            return cls()
        by_split = known.groupby(level="split").mean()
        units = (by_split if len(by_split) > 1 else known).to_numpy()
        mean, counts = float(units.mean()), (len(by_split), len(known))
        if len(units) < LEAST:
            return cls(mean, np.nan, np.nan, *counts)
        error = max(float(units.std(ddof=1)), spread) / np.sqrt(len(units))
        reach = float(stdtrit(len(units) - 1, 1 - LEVEL / 2)) * error
        return cls(mean, mean - reach, mean + reach, *counts, error, len(units) - 1)

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not np.isnan(self.error)

    def below(self, threshold: float) -> float:
        """The two-sided p-value of a mean below a threshold: at most LEVEL where the interval lies below it.

        1 without an interval, or if the mean is not below.
        """
        if not self.known or not self.value < threshold:
            return 1.0
        return float(2 * stdtr(self.freedom, (self.value - threshold) / self.error)) if self.error else 0.0

    def above(self, threshold: float) -> float:
        """The same of a mean above a threshold."""
        return Effect(-self.value, error=self.error, freedom=self.freedom).below(-threshold)


def every(*p_values: float) -> float:
    """The p-value that all of these hold: the greatest (an intersection-union test)."""
    return max(p_values, default=1.0)


def some(*p_values: float) -> float:
    """The p-value that one or more of these hold, by Bonferroni."""
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0


def holm(p_values: list[float]) -> list[bool]:
    """Which of these hold with a family-wise error of LEVEL at most, whatever their dependence (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    found = [False] * len(p_values)
    for position, index in enumerate(order):
        if p_values[index] > LEVEL / (len(p_values) - position):
            break
        found[index] = True
    return found
