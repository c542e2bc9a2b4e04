"""TODO evidence.wording."""

import numpy as np


def short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Three digits; a dash where undefined."""
    return "-" if np.isnan(value) else f"{value:.3g}"


def bracket(low: float, high: float) -> str:
    """`[low, high]`; a dash where undefined."""
    return "-" if np.isnan(low) else f"[{number(low)}, {number(high)}]"
