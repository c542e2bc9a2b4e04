"""Numbers in words, for the notes of verdicts and for tables that people read."""

import numpy as np


def short(value: object) -> str:
    """A number without needless digits, at most six; anything else as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Three digits; a dash where undefined."""
    return "-" if np.isnan(value) else f"{value:.3g}"


def bracket(low: float, high: float) -> str:
    """`[low, high]`; a dash where undefined."""
    return "-" if np.isnan(low) else f"[{number(low)}, {number(high)}]"
