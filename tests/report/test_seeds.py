"""The figure `seeds`: a curve for each weight decay, of the nets that did not diverge."""

import numpy as np
import pytest
from report.figure_study import changed, draw, panels_of, study

from ranktwo.report.drawing import sidecar


def test_a_curve_is_the_share_of_nets_at_or_below_each_value():
    data = study()
    table = sidecar.rows(draw("seeds", data))
    cells = data.gaps[(data.gaps["batch_size"] == 16) & (data.gaps["weight_decay"] == 0.01)]
    rows = table[(table["panel"] == 2) & (table["series"] == "$\\mu$ = 0.01")]
    assert list(rows["x"])[1:] == sorted(cells["effective_rank"])
    assert list(rows["y"]) == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_diverged_nets_are_left_out_and_the_minimiser_is_a_line_where_it_is_known():
    data = study(**{"mu0.01": "diverged"})
    predicted = changed(
        data, "gaps", lambda rows: rows.assign(optimum_residual_2=rows["weight_decay"].replace(0, np.nan))
    )
    drawn = draw("seeds", predicted)
    left, right = ({line.get_label(): line for line in panels_of(drawn)[place].lines} for place in (0, 2))
    assert "$\\mu$ = 0.01" not in right
    assert "$\\mu$ = 0.01" not in left
    assert left["$\\mu$ = 1, predicted"].get_xdata() == [1, 1]
    assert "$\\mu$ = 0, predicted" not in left
    assert not any("predicted" in line.get_label() for line in panels_of(draw("seeds", data))[0].lines)
    assert len(drawn.legends[0].get_texts()) == len(draw("seeds", data).legends[0].get_texts()) + 1
