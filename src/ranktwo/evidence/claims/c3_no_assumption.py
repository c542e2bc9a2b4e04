"""Claim C3: the theorem holds whatever the data, the optimum and the training; and what follows from it does so too."""

from collections.abc import Iterator

import pandas

from ranktwo.evidence.claims.families import DataSet, Family
from ranktwo.evidence.claims.judging import Finding, claim, known_cells
from ranktwo.evidence.effects import LEVEL, Effect, every, some
from ranktwo.evidence.wording import number
from ranktwo.study.axes import REPLICATE
from ranktwo.study.limits import Limits

ROUNDING = 1e-5
"""By so much, in norms of V, may d_1(V) exceed the bound in float64 from weights in float32."""


@claim(
    "C3",
    words="the theorem's bound on d_R(V), R = 1 in dense layers, holds at any weights, and says something",
    paper="our theoretical analysis does not rely on common assumptions regarding the training data distribution, "
    "optimality of weight matrices, or specific training procedures",
    objection="The bound is judged after training alone; a study may train too briefly, or with too large a rate, for "
    "it.",
)
def no_assumption(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The theorem's bound on d_R(V) over ||V||, at the setting, of all families, where its upper end is smallest."""
    decayed = data.rows[data.rows["weight_decay"] > 0]
    covered = decayed[~_of_full_rank(decayed, data)]
    ok = covered[(covered["status"] == "ok") & covered["vacuity_lower"].notna()]
    settings = [family.at(mu) for family in data.families for mu in family.decays]
    known = set(ok["cell"])
    settings = [cells for cells in settings if known.issuperset(cells["cell"])]
    best = min(
        settings, key=lambda cells: cells["vacuity_upper"].mean(), default=decayed.iloc[:0].set_index([*REPLICATE])
    )
    lower = Effect.of(best["vacuity_lower"])
    broken = ok[_distance(ok, data) > ok["vacuity_upper"] + ROUNDING]
    says_nothing = len(ok) > 0 and lower.known and bool((ok["vacuity_lower"] >= 1).all()) and broken.empty
    yield Finding(
        rule="vacuity_lower",
        effect=lower,
        effect_name="lower end of the theorem's bound on d_R(V), in norms of V, where its upper end is smallest",
        criterion="Supported if d_R(V) is within the bound in every ok cell with decay, and the bound's upper end "
        "below ||V|| at some weight decay (by Bonferroni); contradicted if a cell breaks the bound; vacuous if even "
        "its lower end is at least ||V|| in every such cell: the theorem holds and says nothing, as d_R(V) is never "
        "above ||V||. Trivial if R is the full rank of V in every cell.",
        threshold=1,
        support=some(*(Effect.of(cells["vacuity_upper"]).below(1) for cells in settings)) if broken.empty else 1.0,
        against=0.0 if len(broken) else 1.0,
        vacuous=says_nothing,
        trivial=len(decayed) > 0 and covered.empty,
        cells=list((broken if len(broken) else ok if says_nothing else best)["cell"]),
        looked_at=decayed,
        note=f"smallest of all cells {number(ok['vacuity_lower'].min())}; {len(broken)} of {len(ok)} break it"
        if len(ok)
        else "",
    )
    floor = Effect.of(best["data_floor"])
    yield Finding(
        rule="data_floor",
        effect=floor,
        effect_name="the least that the bound can be on these inputs whatever the training, with one decay for all "
        "samples, in norms of V",
        criterion=f"Supported if below {limits.low_rank:g}. Vacuous if above: on these inputs the theorem can never "
        "show that V is approximately low rank.",
        threshold=limits.low_rank,
        support=floor.below(limits.low_rank),
        against=1.0,
        vacuous=floor.above(limits.low_rank) <= LEVEL,
        cells=known_cells(best, "data_floor"),
        looked_at=decayed,
    )


def _distance(cells: pandas.DataFrame, data: DataSet) -> pandas.Series:
    """d_R/||V|| of each cell, R the rank that the theorem speaks of."""
    other = cells["cell"].map(data.of_v["residual_sample_rank"]).astype(float)
    return cells["residual_1"].where(cells["sample_rank"] == 1, other)


def _of_full_rank(cells: pandas.DataFrame, data: DataSet) -> pandas.Series:
    """Whether R is the full rank of a cell's V."""
    return cells["cell"].map(data.full_rank).astype(float) == cells["sample_rank"]


@claim(
    "C3b",
    words="(ours) in every family of nets, whatever its noise, batch size and schedule, V is of about rank two",
    objection="The paper claims that its analysis makes no assumptions, not that rank is low everywhere; this is the "
    "stronger reading. Families are those of the study: one that varies little tests little.",
)
def whatever_the_data(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The greatest rank-two residual, of all families of the data set, at each family's strongest decay."""
    families = [family for family in data.families if len(family.decayed)]
    effects = [Effect.of(family.strongest["residual_2"]) for family in families]
    known = [(effect, family) for effect, family in zip(effects, families, strict=True) if effect.known]
    all_known = len(families) > 1 and len(known) == len(families)
    worst, where = max(known, key=lambda one: one[0].value, default=(Effect(), data.families[0]))
    yield Finding(
        rule="residual_2",
        effect=worst,
        effect_name="d_2/||V||, relative distance to rank two, at the greatest weight decay with every replicate ok, "
        "of the family where it is greatest",
        criterion=f"Supported if it is below {limits.low_rank:g} in every family, contradicted if above in any (by "
        "Bonferroni). At most contradicted where nothing varies, with one family alone, and where a family has no "
        "decay at which every replicate is ok; trivial as C1.",
        threshold=limits.low_rank,
        support=every(*(effect.below(limits.low_rank) for effect, _ in known)) if all_known else 1.0,
        against=some(*(effect.above(limits.low_rank) for effect, _ in known)),
        trivial=where.trivial,
        cells=[name for family in families for name in known_cells(family.strongest, "residual_2")],
        looked_at=data.rows[data.rows["weight_decay"] > 0],
        note=_of_families(len(families), known, where) if known else "",
    )


def _of_families(count: int, known: list[tuple[Effect, Family]], where: Family) -> str:
    """How many families are judged, and which has the greatest residual."""
    if count == 1:
        return "one family: nothing varies"
    unknown = f"; {count - len(known)} more not judged" if len(known) < count else ""
    return f"greatest of {len(known)}: {where.name or 'the main one'}{unknown}"
