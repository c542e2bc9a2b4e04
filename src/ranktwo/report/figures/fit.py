"""The figure `fit`: what claim C1 comes to, whatever counts as a fit."""

import numpy as np
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.evidence.claims.families import Family
from ranktwo.evidence.effects import Effect
from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import decay_colours, legend
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.statuses import ALIVE
from ranktwo.study.limits import Limits

THRESHOLDS = np.round(np.arange(0.5, 1.101, 0.025), 3)


@figure(settings="verdicts", medians=False)
def fit(data: Data) -> Figure:
    """Distance from rank two at the strongest weight decay that fits, against what counts as a fit.

    d_2/||V|| at the strongest weight decay at which every net has at least this share of a linear model's skill on the
    training rows: mean and 95 % interval, coloured by that weight decay. Claim C1 is judged at one threshold,
    `status.fit_linear` (0.9 by default). Where the points cross the dashed line at `verdicts.low_rank` (0.1 by
    default), another threshold gives another verdict. Skill is accuracy above chance, or R^2. The second condition, a
    share of the skill of the net without decay, is not applied here.
    """
    low_rank = Limits(**data.settings).low_rank
    drawn, parts = panels(data, 1, parts=[part for part in data.families() if part[1]["fit_linear"].notna().any()])
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="least share of linear skill", ylabel="$d_2/\\|V\\|$")
        axes.set_ylim(-0.02, 1.02)
        found = [point for threshold in THRESHOLDS if (point := _at(rows, threshold))]
        if not found:
            say(axes, "no weight decay at which every net fits")
            continue
        for decay, points in pandas.DataFrame(found).groupby("decay"):
            style = {"color": data.colour(decay), "label": f"$\\mu$ = {decay:g}"}
            if len(known := points.dropna()):  # fewer than three replicates have no interval
                axes.vlines(known["threshold"], known["low"], known["high"], linewidth=0.8, **style)
            axes.plot(points["threshold"], points["value"], "o", markersize=3, **style)
        axes.axhline(low_rank, color="0.3", linewidth=0.7, linestyle="--")
    if parts:
        decay_colours(drawn, data, [axes for *_, (axes,) in parts])
        threshold = Line2D([], [], color="0.3", linewidth=0.7, linestyle="--", label="C1's threshold")
        legend(drawn, data, [threshold], statuses=())
    return drawn


def _at(rows: pandas.DataFrame, threshold: float) -> dict[str, float] | None:
    """The strongest decay at which every net has this share of skill, and its residual; None without such a decay."""
    fits = (rows["fit_linear"] >= threshold) & rows["status"].isin(ALIVE)
    strongest = Family(rows.assign(status=np.where(fits, "ok", "unfit")), name="", main=True).strongest
    if strongest.empty:
        return None
    effect, decay = Effect.of(strongest["residual_2"]), strongest["weight_decay"].iloc[0]
    return {"threshold": threshold, "decay": decay, "value": effect.value, "low": effect.low, "high": effect.high}
