"""The look of every figure: matplotlib's settings, the colours and markers, and what they stand for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas
from matplotlib.colors import Colormap, ListedColormap, LogNorm

Width = Literal["page", "column"]
WIDTHS: dict[Width, float] = {"page": 7.0, "column": 3.4}
"""Inches across a page of text, and across one of its two columns."""
STYLE = Path(__file__).with_name("style.mplstyle")
"""Settings of matplotlib that differ from its defaults."""
ZERO_COLOUR = "0.45"
DASHES, DOTS = (0, (4, 1.5)), (0, (1, 1))
"""Of lines that are told from solid ones."""
ZERO_DASHES = DOTS
ZERO_MARKER = "s"
MARKERS = "osD^vPX*"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
"""The colours of Okabe and Ito. Colour-blind readers can tell them apart; the markers do so in grey."""


@contextmanager
def ranktwo_style() -> Iterator[None]:
    """Draw with matplotlib's defaults and the style file, whatever settings the user has."""
    defaults: dict[Any, Any] = {
        name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParamsDefault if name != "backend"
    }
    settings: dict[Any, Any] = {**defaults, **matplotlib.rc_params_from_file(STYLE, use_default_template=False)}
    with matplotlib.rc_context(settings):
        yield


def decay_map() -> Colormap:
    """The style's colour map without its lightest end, which is hard to see on white paper."""
    colours = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]]
    return ListedColormap(colours(np.linspace(0, 0.9, 256)))


def colour_scale(weight_decays: pandas.Series) -> LogNorm:
    """A logarithmic scale from the least positive weight decay to the greatest; around a single one, two decades."""
    positive = weight_decays[weight_decays > 0]
    least, greatest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    return LogNorm(least, greatest) if least < greatest else LogNorm(least / 10, greatest * 10)
