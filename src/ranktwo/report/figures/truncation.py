"""The figure `truncation`: the test score of nets whose V is cut to a lower rank."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import decay_colours, fit_decays, legend, line, over_seeds
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.drawing.scales import truncation_axis


@figure(reads=["truncation"])
def truncation(data: Data) -> Figure:
    """Test score of the net with V cut to rank r (left), and with all of V shrunk to the same norm (right).

    Test score of the trained net with V cut to rank r (left panels), and with all of V shrunk to the norm that the cut
    V has (right panels), coloured by weight decay. Dots mark the functional rank, the least rank from which on the
    score stays within 0.01 of the whole net's. If the rank and not the norm carries what the net knows, the left lines
    fall at small r and the right ones do not. If low rank helps, cutting a net of full rank raises its score. Scaling V
    only scales the outputs, so accuracy cannot change on the right: only R^2 and losses are controls there. At most
    five weight decays at which all nets fit are shown.
    """
    drawn, parts = panels(data, 2)
    lists = ["truncation_ranks", "truncated_test_score", "shrunk_test_score"]
    for title, rows, pair in parts:
        nets = of_cells(data.truncation, rows).dropna(subset=lists)
        scored = nets.dropna(subset=["functional_rank"])  # a single test row has no R^2
        fit = fit_decays(of_cells(rows, scored), least=0)
        shown = fit[np.unique(np.linspace(0, len(fit) - 1, 5).round().astype(int))] if len(fit) else fit
        score = "$R^2$" if (rows["task"] == "regression").all() else "accuracy"
        functional = nets.groupby("weight_decay")["functional_rank"].median()
        for axes, column, what in zip(
            pair, lists[1:], ("rank $r$ of $V$", "$V$ shrunk to its norm at rank $r$"), strict=True
        ):
            axes.set(title=title, xlabel=what, ylabel=f"test {score}")
            if not len(shown):
                undefined = len(nets) and scored.empty
                say(axes, f"no test {score} is defined" if undefined else "no weight decay at which all nets fit")
            for weight_decay in shown:
                curves = nets.loc[nets["weight_decay"] == weight_decay, ["truncation_ranks", column]]
                curves = curves.explode(["truncation_ranks", column]).astype(float)
                seeds = over_seeds(curves, "truncation_ranks", column)
                colour = data.colour(weight_decay)
                line(axes, seeds.index, seeds, **data.line_style(weight_decay))
                if column == "truncated_test_score":
                    rank = functional[weight_decay]
                    score_there = np.interp(rank, seeds.index, seeds["median"])
                    axes.plot(rank, score_there, "o", color=colour, label="functional rank")
            truncation_axis(axes, max((ranks[-1] for ranks in nets["truncation_ranks"]), default=1))
        pair[1].sharey(pair[0])
    zero = decay_colours(drawn, data, [axes for *_, pair in parts for axes in pair])
    functional = "functional rank: within 0.01 of the whole net from here on"
    mark = Line2D([], [], linestyle="none", marker="o", color="0.2", label=functional)
    legend(drawn, data, [zero, mark], statuses=())
    return drawn
