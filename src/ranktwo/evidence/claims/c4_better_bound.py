"""Claim C4: a generalization bound becomes better by low rank."""

from collections.abc import Iterator

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import NOTHING_FITS, Finding, claim, for_some, known_cells
from ranktwo.evidence.effects import Effect, every
from ranktwo.evidence.wording import number
from ranktwo.study.limits import Limits


@claim(
    "C4",
    words="at low rank an explicit generalization bound is lower than for a dense net, and below 1",
    paper="by leveraging the low-rank bias, we derive improved generalization error bounds",
    objection="The paper gives rates without constants; the VC bound is ours to make them comparable with an error.",
    combine=for_some,
)
def better_bound(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Explicit VC bound at rank two against the dense one, at the strongest decay; then the paper's rates.

    Explicit bounds are those with all constants. They bound a difference of two error rates: above 1 they say nothing.
    """
    explicit = data.of_kind("bound")
    for family in data.families:
        cells = family.strongest
        low, dense = cells["vc_bound_rank_2"], cells["vc_bound_dense"]
        bound, gain = Effect.of(low), Effect.of(dense - low)
        decayed = family.decayed
        every_bound = decayed.loc[decayed["status"] == "ok", explicit]
        medians = cells[explicit].median().dropna()
        note = "no explicit bound is defined here" if len(cells) else NOTHING_FITS
        if len(medians):
            note = f"{(medians <= 1).sum()} of {len(medians)} explicit bounds are at most 1, "
            note += f"the least {number(medians.min())}; dense {number(dense.median())}, "
            note += f"measured error gap {number(cells['accuracy_gap'].median())}"
        yield Finding(
            rule="vc_bound_rank_2",
            effect=bound,
            effect_name="VC bound on the error gap, V cut to rank two, at the greatest weight decay with every "
            "replicate ok",
            criterion=f"Supported if it is below 1 and below the dense net's, and d_2/||V|| below {limits.low_rank:g}; "
            "contradicted if it is above the dense net's; vacuous if every explicit bound is above 1 in every ok cell "
            "with decay: an error gap is never above 1.",
            threshold=1,
            support=every(bound.below(1), gain.above(0), Effect.of(cells["residual_2"]).below(limits.low_rank)),
            against=gain.below(0),
            vacuous=bound.known and bool(every_bound.min().min() > 1),
            cells=known_cells(cells, "vc_bound_rank_2"),
            looked_at=decayed,
            note=note,
            **family.place,
        )
        rates = cells["chen2024_rank_two_rate"] / cells["chen2024_dense_rate"]
        yield Finding(
            rule="chen2024_rank_two_rate",
            effect=Effect.of(rates),
            effect_name="the paper's rate at rank two over its dense rate",
            criterion="Trivial: arithmetic of m and n, the same for any net of these widths, of low rank or not.",
            threshold=1,
            support=1.0,
            against=1.0,
            trivial=bool(rates.notna().any()),
            cells=list(cells.loc[rates.notna(), "cell"]),
            looked_at=decayed,
            **family.place,
        )
