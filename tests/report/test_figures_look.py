"""The look of figures: nothing is cut off, fonts are fonts, and colours are told apart in grey."""

import warnings

import matplotlib
import numpy as np
import pytest
from figure_study import NAMES, draw, study

from ranktwo.report.drawing.panels import finish
from ranktwo.report.drawing.style import WIDTHS, ZERO_DASHES, ranktwo_style


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_or_overlaps_at_either_width(name, width):
    """Titles, axis labels and legends lie inside the paper, no two of them on each other."""
    data = study(**{"mu0.01": "unfit", "mu1": "collapsed"})
    data.width = width
    with ranktwo_style():
        drawn = draw(name, data)
        finish(drawn)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a layout that does not fit says so
            drawn.draw_without_rendering()
        assert drawn.get_figwidth() == WIDTHS[width]
        words = [*(axes.title for axes in drawn.axes), *drawn.texts]
        words += [axis.label for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)]
        boxes = [word.get_window_extent() for word in words if word.get_text()]
        boxes += [legend.get_window_extent() for legend in drawn.legends]
    page = drawn.bbox.padded(1)
    assert boxes
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    pairs = [(a, b) for index, a in enumerate(boxes) for b in boxes[:index]]
    assert not any(a.padded(-1).overlaps(b.padded(-1)) for a, b in pairs)


def test_fonts_are_embedded_as_fonts():
    with ranktwo_style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42 and matplotlib.rcParams["savefig.dpi"] == 300


def test_the_style_is_matplotlib_s_defaults_and_the_package_s_own_settings():
    with matplotlib.rc_context({"lines.linewidth": 8, "axes.facecolor": "yellow", "text.usetex": True}):
        with ranktwo_style():
            assert matplotlib.rcParams["lines.linewidth"] == 1.2
            assert matplotlib.rcParams["axes.facecolor"] == matplotlib.rcParamsDefault["axes.facecolor"]
            assert not matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["lines.linewidth"] == 8


def test_weight_decays_keep_their_order_in_grey_and_none_is_dotted():
    """Luminance rises with weight decay, from dark to what still shows on white; no decay has dots of its own."""
    data = study()
    decays = [1e-3, 1e-2, 1.0]
    with ranktwo_style():
        luminance = [np.dot(data.colour(mu)[:3], [0.2126, 0.7152, 0.0722]) for mu in decays]
    assert luminance == sorted(luminance) and luminance[-1] < 0.8
    assert np.diff(luminance).min() > 0.1
    assert data.line_style(0.0)["linestyle"] == ZERO_DASHES and "linestyle" not in data.line_style(1.0)
