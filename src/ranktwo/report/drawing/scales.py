"""Axes that figures share: steps, ranks, weight decay with its zero, and the region in which a bound says nothing."""

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

STANDS_FOR: WeakKeyDictionary[Axes, Callable[[float], float | str]] = WeakKeyDictionary()
"""What an x of the drawing stands for, for the axes on which it is another number or a word."""


def step_axis(axes: Axes) -> None:
    """Make x a logarithmic axis of optimizer steps that has a place for step 0."""
    axes.set_xlabel("step $t$")
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)


def truncation_axis(axes: Axes, greatest: float) -> None:
    """Make x a logarithmic axis of the rank that a matrix is cut to, with a place for rank 0."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    ticks = [rank for rank in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if rank <= greatest]
    axes.set_xticks(ticks, [str(rank) for rank in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def decay_axis(axes: Axes, values: pandas.Series, label: str = "weight decay $\\mu$") -> Callable[[Any], Any]:
    """Make x a logarithmic axis of weight decay with zero set apart at the left, or one of zero alone; return the map
    from mu to x.
    """
    distinct = np.unique(values.dropna().to_numpy(dtype=float))
    positive = distinct[distinct > 0]
    if not len(positive):
        axes.set(xlabel=label, xticks=distinct, xlim=(-1, 1))
        return lambda mu: np.zeros_like(mu, dtype=float)
    least, greatest = positive.min(), positive.max()
    zero = least / 10**0.6
    axes.set_xscale("log")
    axes.set_xlabel(label)
    decades = 10.0 ** np.arange(math.ceil(math.log10(least) - 1e-9), math.floor(math.log10(greatest) + 1e-9) + 1)
    ticks = decades[:: math.ceil(len(decades) / 5)] if len(decades) > 1 else np.array(round_numbers(least, greatest))
    labels = [f"$10^{{{round(math.log10(value))}}}$" if len(decades) > 1 else f"{value:g}" for value in ticks]
    if 0 in distinct:
        ticks, labels = np.append(ticks, zero), [*labels, "0"]
        axes.axvline(least / 10**0.3, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_xticks(ticks, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    left = zero if 0 in distinct else least
    margin = (greatest / left) ** 0.04 if left < greatest else 2.0
    axes.set_xlim(left / margin, greatest * margin)
    STANDS_FOR[axes] = lambda x: 0.0 if x == zero else x
    return lambda mu: np.where(np.asarray(mu, dtype=float) > 0, mu, zero)


def rank_ticks(axis: XAxis | YAxis) -> None:
    """Make an axis of ranks logarithmic, with plain numbers, if it has a rank to show."""
    least = getattr(axis.axes.dataLim, f"minpos{axis.axis_name}")
    if not np.isfinite(least):
        return
    greatest = getattr(axis.axes.dataLim, f"{axis.axis_name}max")
    # Where a panel's width holds two decades, 100 and 200 would run into each other.
    crowded = axis.axis_name == "x" and greatest > 100 * least
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(base=10, subs=(2, 5) if crowded else (1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def round_numbers(low: float, high: float) -> list[float]:
    """Two round numbers at least from low to high: 1, 2 and 5 in each decade, or more of its digits, or even steps.

    The one number where low is high.
    """
    if low == high:
        return [low]
    ends = low * (1 - 1e-9), high * (1 + 1e-9)
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits, steps = np.outer(decades, range(1, 10)), MaxNLocator(4, steps=(1, 2, 5, 10)).tick_values(low, high)
    for ticks in (digits[:, [0, 1, 4]].ravel(), digits[:, [0, 1, 2, 3, 5, 7]].ravel(), digits.ravel(), steps):
        found = [float(f"{tick:.12g}") for tick in ticks if ends[0] <= tick <= ends[1]]
        if len(found) > 1:
            break
    return found


def tick_enough(axis: XAxis | YAxis) -> None:
    """Give a logarithmic axis plain round numbers if fewer than two powers of ten are seen; when all is drawn."""
    if axis.get_scale() != "log":
        return
    low, high = sorted(axis.get_view_interval())
    ticks = list(axis.get_majorticklocs())
    words = axis.get_major_formatter().format_ticks(ticks)
    axis.set_minor_formatter(NullFormatter())  # matplotlib's numbers between powers of ten lie upon each other
    if sum(low <= tick <= high and word != "" for tick, word in zip(ticks, words, strict=False)) < 2:
        axis.set_ticks(round_numbers(low, high))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())


def shade_trivial(axes: Axes) -> None:
    """Make y logarithmic and shade what is above 1, where a relative bound says nothing; call it when all is drawn."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.axhspan(1, max(high, 2), color="0.9", linewidth=0, zorder=0)
    axes.set_ylim(min(low, 0.5) if low > 0 else 0.5, max(high, 2))


def trivial_entry() -> Patch:
    """The legend's entry of what `shade_trivial` shades."""
    return Patch(color="0.9", label="says nothing (1 or more)")


def loss_label(rows: pandas.DataFrame, name: str = "loss gap") -> str:
    """The name of an axis of losses or of their gaps, with the unit of the rows' loss."""
    return f"{name} (sd$^2$ of $y$)" if (rows["task"] == "regression").all() else f"{name} (nats)"
