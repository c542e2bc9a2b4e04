"""Claim C1: nets trained with weight decay have a weight matrix of about rank two. Three settings, side by side."""

from collections.abc import Iterator
from dataclasses import replace

import pandas

from ranktwo.evidence.claims.families import DataSet, Family, V
from ranktwo.evidence.claims.judging import Finding, claim, decay_words, known_cells, predicted
from ranktwo.evidence.effects import Effect
from ranktwo.evidence.wording import number
from ranktwo.study.axes import REPLICATE
from ranktwo.study.limits import Limits

ROUNDED = 12**-0.5
"""Standard deviation of what is rounded to a whole number."""


@claim(
    "C1",
    words="at the strongest weight decay that fits, V is of about rank two",
    paper="when a ReLU NN is sufficiently trained with Stochastic Gradient Descent (SGD) and WD, its weight matrix is "
    "approximately a rank-two matrix",
    objection="The setting is the one most favourable to the claim. What fits depends on a threshold (figure `fit`).",
)
def approximately_rank_two(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual at the strongest decay, the setting most favourable to the claim; then every rank rule."""
    for family in data.families:
        cells = family.strongest
        # Ranks that agree are whole numbers, and no sign that what they count has no spread.
        ranks = {rule: Effect.of(cells[rule], spread=ROUNDED) for rule in data.of_kind("rank")}
        known = [cells[rule].astype(float).median() for rule in ranks if cells[rule].notna().any()]
        note = f"{sum(rank <= 2 for rank in known)} of {len(known)} rank rules say at most two"
        if len(cells):
            note += f"; weight decay {decay_words(cells)}, functional rank {number(cells['functional_rank'].median())}"
        yield _low_rank(family, cells, limits, "at the greatest weight decay with every replicate ok", note)
        for rule, rank in ranks.items():
            yield Finding(
                rule=rule,
                effect=rank,
                effect_name=f"{rule} of V at the greatest weight decay with every replicate ok",
                criterion="Supported if the interval lies below 2.5, contradicted if it lies above.",
                threshold=2.5,
                support=rank.below(2.5),
                against=rank.above(2.5),
                trivial=family.trivial,
                cells=known_cells(cells, rule),
                looked_at=family.decayed,
                **family.place,
            )
    for layer in data.by_layer:
        yield from _of_layer(layer, limits)


def _of_layer(layer: Family, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual of a matrix other than V, and where R > 1 the distance from the rank of the theorem."""
    cells, (rank, full) = layer.strongest, layer.shape
    where = "at the greatest weight decay with every replicate ok"
    theorem = f"the theorem is of rank R = {rank}" + (", the full rank: it says nothing" if rank == full else "")
    if layer.matrix != V:
        note = f"{theorem}; weight decay {decay_words(cells)}" if len(cells) else theorem
        yield replace(_low_rank(layer, cells, limits, where, note), sample_rank=rank)
    if rank > 1:
        residual = Effect.of(cells["residual_sample_rank"])
        yield Finding(
            rule="residual_sample_rank",
            effect=residual,
            effect_name=f"d_R/{layer.norm}, relative distance to rank R = {rank}, {where}",
            criterion=f"Supported if the interval lies below {limits.low_rank:g}, contradicted if above; trivial if R "
            "is the full rank.",
            threshold=limits.low_rank,
            support=residual.below(limits.low_rank),
            against=residual.above(limits.low_rank),
            trivial=rank == full,
            cells=known_cells(cells, "residual_sample_rank"),
            looked_at=layer.decayed,
            note=theorem,
            sample_rank=rank,
            **layer.place,
        )


@claim(
    "C1b",
    words="(ours) at the weight decay above 0 of best validation loss, V is of about rank two",
    objection="Validation is on the test parts of other splits, which are small; decays that do alike take turns.",
)
def rank_two_where_it_generalizes(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual at the decay above 0 that other splits, or other seeds, choose by test loss."""
    for family in data.families:
        cells = family.validated()
        note = f"weight decay {decay_words(cells)}{predicted(cells)}" if len(cells) else ""
        yield _low_rank(family, cells, limits, "at the weight decay above 0 of least test loss on other splits", note)


@claim(
    "C1c",
    words="(ours) on average over the weight decays that fit, V is of about rank two",
    objection="Which decays there are to average over is the study's choice.",
)
def rank_two_at_any_decay(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual as a mean over all decays above 0 at which every replicate is ok."""
    for family in data.families:
        cells = family.fit
        note = ""
        if family.decays:
            low = (cells["residual_2"].groupby(cells["weight_decay"]).mean() < limits.low_rank).sum()
            note = f"below {limits.low_rank:g} at {low} of {len(family.decays)} weight decays"
        yield _low_rank(family, cells, limits, "mean over the weight decays above 0 with every replicate ok", note)


def _low_rank(family: Family, cells: pandas.DataFrame, limits: Limits, where: str, note: str) -> Finding:
    """The rank-two residual of these cells, a mean for each replicate, against what counts as low."""
    residual = Effect.of(cells["residual_2"].astype(float).groupby(level=list(REPLICATE)).mean())
    return Finding(
        rule="residual_2",
        effect=residual,
        effect_name=f"d_2/{family.norm}, relative distance to rank two, {where}",
        criterion=f"Supported if the interval lies below {limits.low_rank:g}, contradicted if above; trivial if "
        f"{family.trivial_if}.",
        threshold=limits.low_rank,
        support=residual.below(limits.low_rank),
        against=residual.above(limits.low_rank),
        trivial=family.trivial,
        cells=known_cells(cells, "residual_2"),
        looked_at=family.decayed,
        note=note,
        **family.place,
    )
