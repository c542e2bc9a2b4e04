"""Claim C3: low rank comes whatever the data, the optimum and the training."""

from collections.abc import Iterator

import pandas

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import (
    CONTRADICTED,
    SUPPORTED,
    Effect,
    Finding,
    Limits,
    claim,
    dataset_names,
    known_cells,
    over_datasets,
)
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.wording import number


def _whatever_the_data(own: pandas.DataFrame, judged: pandas.DataFrame) -> tuple[str, str]:
    """As `over_datasets`, but contradicted as well if C1 is supported on one data set and contradicted on another."""
    verdict, note = over_datasets(own, judged)
    ranks = judged[(judged["claim"] == "C1") & (judged["rule"] == "residual_2") & (judged["dataset"] != OVERALL)]
    supported, contradicted = (dataset_names(ranks[ranks["verdict"] == word]) for word in (SUPPORTED, CONTRADICTED))
    if supported and contradicted:
        depends = f"C1 depends on data and training: supported on {supported}, contradicted on {contradicted}"
        return CONTRADICTED, "; ".join(filter(None, (f"bound {note}" if note else "", depends)))
    return verdict, note


@claim("C3", words="low rank comes without assumptions on data, optimality or training", combine=_whatever_the_data)
def no_assumption(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The theorem's bound on d_1(V) over ||V||, at the setting, of all families, where its upper end is smallest."""
    decayed = data.rows[data.rows["weight_decay"] > 0]
    ok = decayed[(decayed["status"] == "ok") & decayed["vacuity_lower"].notna()]
    settings = [family.at(mu) for family in data.families for mu in family.decays]
    settings = [cells for cells in settings if cells["vacuity_upper"].notna().all()]
    best = min(settings, key=lambda cells: cells["vacuity_upper"].max(), default=decayed.iloc[:0])
    says_nothing = len(ok) > 0 and (ok["vacuity_lower"] >= 1).all()
    yield Finding(
        rule="vacuity_lower",
        effect=Effect.of(best["vacuity_lower"], limits),
        effect_name="lower end of the theorem's bound on d_1(V), in norms of V, where its upper end is smallest",
        criterion="Supported if at some weight decay the upper end is below 1 for every seed, contradicted if even the "
        "lower end is at least 1 in every ok cell with weight decay: the theorem holds and says nothing.",
        threshold=1,
        supported=bool((best["vacuity_upper"] < 1).all()),
        contradicted=says_nothing,
        cells=list((ok if says_nothing else best)["cell"]),
        looked_at=decayed,
        note=f"smallest of all cells {number(ok['vacuity_lower'].min())}" if len(ok) else "",
    )
    floor = Effect.of(best["data_floor"], limits)
    yield Finding(
        rule="data_floor",
        effect=floor,
        effect_name="the least that the bound can be on these inputs whatever the training, in norms of V",
        criterion=f"Supported if below {limits.low_rank:g}; contradicted if above: on these inputs the theorem "
        "can never show that V is approximately low rank.",
        threshold=limits.low_rank,
        supported=floor.high < limits.low_rank,
        contradicted=floor.low > limits.low_rank,
        cells=known_cells(best, "data_floor"),
        looked_at=decayed,
    )
