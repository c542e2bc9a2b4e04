"""docs/notebook.md: its lines draw what the study's own figure draws."""

import contextlib
import re

import matplotlib.pyplot
import numpy as np
import pandas
from support import ROOT


def test_the_pages_lines_draw_the_figure_anew(finished):
    [code] = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "notebook.md").read_text(), re.MULTILINE | re.DOTALL
    )
    with contextlib.chdir(finished):
        exec(code, {})
    axes = matplotlib.pyplot.gca()
    drawn = pandas.read_csv(finished / "results" / "figures" / "spectrum.csv")
    expected = [rows["y"].to_numpy() for _, rows in drawn[drawn["mark"] == "line"].groupby("series", sort=False)]
    assert len(axes.lines) == len(expected) == 2
    for line, values in zip(axes.lines, expected, strict=True):
        np.testing.assert_allclose(line.get_ydata(), values, rtol=1e-12)
    assert [text.get_text().split(",")[0] for text in axes.get_legend().get_texts()] == ["0", "0.3"]
    matplotlib.pyplot.close("all")
