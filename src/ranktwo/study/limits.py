"""The numbers that verdicts depend on."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Numbers that verdicts depend on: the config's section `verdicts`."""

    low_rank: float = 0.1
    """V is approximately of rank two if its rank-two residual d_2/||V|| is below this."""
    negligible_tau: float = 0.2
    """A rank correlation below this says next to nothing."""
    negligible_gain: float = 0.02
    """A share of the loss without weight decay; a gain below this is no gain."""
    prediction: float = 0.05
    """V is like the minimiser if the two differ by less in d_2/||V||; of ln of the effective rank the same is asked."""
