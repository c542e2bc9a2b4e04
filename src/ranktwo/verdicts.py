"""A verdict on every claim of arXiv 2410.02176, from gaps.parquet alone: supported, contradicted or inconclusive.

A *setting* is all axes but the seed, a *family* all axes but seed and weight decay. Every family is judged; a data
set's verdict is that of its main family: the one with the most cells among those with clean labels, constant decay,
SGD and mini-batches, or among all if none is such. C3 is about variation, so all families of a data set count there.
Over data sets a claim is supported if it is in each of them, contradicted if it is in any, else inconclusive.

Only cells with status `ok` are evidence; the others are counted in the row. Where low rank is to be seen at its best
the setting is the *strongest decay*: the greatest weight decay at which every seed is ok, whatever its rank is.

An effect is the median over seeds (of the difference seed by seed, where settings are compared), its interval the
2.5th to 97.5th percentile of that median over resampled seeds, with one fixed random seed. Fewer than 3 seeds: no
interval, and at most inconclusive. Of 3 to 5 seeds the interval is their range, which holds the true median in 75, 88
and 94 % of studies: a verdict from 3 seeds is weaker evidence than its interval's name says.

Adding a claim is adding one function under `@claim`.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow

from ranktwo import bounds, columns, files, gaps, predictors, provenance, tables
from ranktwo.errors import run
from ranktwo.grid import AXES
from ranktwo.predictors import MIN_SEEDS, OVERALL
from ranktwo.tables import FAMILY, HEADINGS, bracket, number, short

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
STATUSES = ("ok", "unfit", "collapsed", "diverged")
EXPLICIT = [bound.name for bound in bounds.REGISTRY.values() if bound.trivial is not None]
"""Bounds with explicit constants; above 1 they say nothing."""
SAME_DATA = ["train_size", "label_noise", "decay_rule"]
"""Axes that move the gap, or the meaning of mu, by themselves."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Numbers that verdicts depend on: the config's section `verdicts`."""

    low_rank: float = 0.1
    """V is approximately of rank two if its rank-two residual d_2/||V|| is below this."""
    negligible_tau: float = 0.2
    """A rank correlation below this says next to nothing."""
    resamples: int = 2000


@dataclass(frozen=True)
class Effect:
    """Median over seeds and its interval; NaN where undefined."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    seeds: int = 0

    @classmethod
    def of(cls, values: pandas.Series, limits: Limits) -> "Effect":
        """Of one value for each seed; nulls are left out."""
        known = values.dropna().to_numpy(float)
        count = len(known)
        if count == 0:
            return cls()
        if count < MIN_SEEDS:
            return cls(float(np.median(known)), seeds=count)
        draws = np.random.default_rng(0).integers(count, size=(limits.resamples, count))
        low, high = np.quantile(np.median(known[draws], axis=1), [0.025, 0.975])
        return cls(float(np.median(known)), float(low), float(high), count)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one claim comes to in one family, by one measure; the columns of verdicts.parquet define the words."""

    rule: str
    effect: Effect
    effect_name: str
    criterion: str
    threshold: float
    supported: bool
    contradicted: bool
    cells: list[str]
    """Cells that the effect rests on."""
    looked_at: pandas.DataFrame
    """Cells whose status is counted."""
    family: str = ""
    main: bool = True
    note: str = ""

    @property
    def verdict(self) -> str:
        if np.isnan(self.effect.low) or self.supported == self.contradicted:
            return INCONCLUSIVE
        return SUPPORTED if self.supported else CONTRADICTED


@dataclass(frozen=True)
class Family:
    """Cells of one data set that differ in weight decay and seed only."""

    cells: pandas.DataFrame
    name: str
    main: bool

    @cached_property
    def decays(self) -> list[float]:
        """Weight decays above 0 at which every seed is ok, rising."""
        ok = (self.cells["status"] == "ok").groupby(self.cells["weight_decay"]).all()
        return [mu for mu, every in ok.items() if mu > 0 and every]

    @cached_property
    def strongest(self) -> pandas.DataFrame:
        """Cells at the strongest decay, by seed; none if at no decay every seed is ok."""
        return self.at(max(self.decays, default=np.nan))

    def at(self, weight_decay: float) -> pandas.DataFrame:
        """Cells that ended ok at this weight decay, by seed."""
        return self.cells[(self.cells["weight_decay"] == weight_decay) & (self.cells["status"] == "ok")].set_index(
            "seed"
        )

    @property
    def decayed(self) -> pandas.DataFrame:
        return self.cells[self.cells["weight_decay"] > 0]

    @property
    def place(self) -> dict[str, Any]:
        """What a Finding says of the family."""
        return {"family": self.name, "main": self.main}


@dataclass(frozen=True)
class DataSet:
    """All cells of one data set, and its families, the main one first."""

    cells: pandas.DataFrame

    @cached_property
    def families(self) -> list[Family]:
        parts = [cells for _, cells in self.cells.groupby(FAMILY, sort=False, dropna=False)]
        parts.sort(key=lambda cells: (not _plain(cells.iloc[0]), -len(cells)))
        main = parts[0].iloc[0]
        names = [
            ", ".join(f"{HEADINGS.get(a, a)} {short(cells[a].iloc[0])}" for a in FAMILY if cells[a].iloc[0] != main[a])
            for cells in parts
        ]
        return [
            Family(cells, name, main=not index) for index, (cells, name) in enumerate(zip(parts, names, strict=True))
        ]

    @property
    def rules(self) -> list[str]:
        return [name for name in self.cells.columns if name.startswith("rank_")]


def _plain(cell: pandas.Series) -> bool:
    return (
        cell["label_noise"] == 0
        and cell["decay_rule"] == "constant"
        and cell["optimizer"] == "sgd"
        and cell["batch_size"] < cell["train_size"]
    )


Judge = Callable[[DataSet, Limits], Iterator[Finding]]
Combine = Callable[[pandas.DataFrame, pandas.DataFrame], tuple[str, str]]


@dataclass(frozen=True)
class Claim:
    """A claim in words, and the functions that judge it: in one data set, and over the data sets' verdicts."""

    id: str
    words: str
    judge: Judge
    combine: Combine


CLAIMS: dict[str, Claim] = {}


def over_datasets(own: pandas.DataFrame, judged: pandas.DataFrame) -> tuple[str, str]:
    """Verdict and note from a claim's rows `own`, one for each data set; `judged` are all rows made so far."""
    contradicted = own[own["verdict"] == CONTRADICTED]
    if len(contradicted):
        return CONTRADICTED, f"contradicted on {_names(contradicted)}"
    return (SUPPORTED if (own["verdict"] == SUPPORTED).all() else INCONCLUSIVE), ""


def claim(id: str, words: str, combine: Combine = over_datasets) -> Callable[[Judge], Judge]:
    """Register what judges a claim in one data set. The first measure it yields is the one that headlines show."""

    def register(judge: Judge) -> Judge:
        CLAIMS[id] = Claim(id, words, judge, combine)
        return judge

    return register


def _names(rows: pandas.DataFrame) -> str:
    return ", ".join(
        dict.fromkeys(f"{row.dataset} ({row.family})" if row.family else row.dataset for row in rows.itertuples())
    )


@claim("C1", "ReLU nets trained with SGD and weight decay have an approximately rank-two weight matrix")
def approximately_rank_two(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual at the strongest decay, the setting most favourable to the claim; then every rank rule."""
    for family in data.families:
        cells = family.strongest
        ranks = {rule: Effect.of(cells[rule], limits) for rule in data.rules}
        known = [rank.value for rank in ranks.values() if not np.isnan(rank.value)]
        note = f"{sum(rank <= 2 for rank in known)} of {len(known)} rank rules say at most two"
        if len(cells):
            note += f"; weight decay {_decay(cells)}, functional rank {number(cells['functional_rank'].median())}"
        residual = Effect.of(cells["residual_2"], limits)
        yield Finding(
            rule="residual_2",
            effect=residual,
            effect_name="d_2/||V||, relative distance to rank two, at the greatest weight decay with every seed ok",
            criterion=f"Supported if the interval lies below {limits.low_rank:g}, contradicted if above.",
            threshold=limits.low_rank,
            supported=residual.high < limits.low_rank,
            contradicted=residual.low > limits.low_rank,
            cells=_known(cells, "residual_2"),
            looked_at=family.decayed,
            note=note,
            **family.place,
        )
        for rule, rank in ranks.items():
            yield Finding(
                rule=rule,
                effect=rank,
                effect_name=f"{rule} of V at the greatest weight decay with every seed ok",
                criterion="Supported if the interval reaches no higher than 2, contradicted if it lies above.",
                threshold=2,
                supported=rank.high <= 2,
                contradicted=rank.low > 2,
                cells=_known(cells, rule),
                looked_at=family.decayed,
                **family.place,
            )


def _both_tasks(own: pandas.DataFrame, judged: pandas.DataFrame) -> tuple[str, str]:
    verdict, note = over_datasets(own, judged)
    if verdict == SUPPORTED and len({task == "regression" for task in own["task"]}) == 1:
        return INCONCLUSIVE, "needs regression and classification; the study has one of them"
    return verdict, note


@claim("C2", "weight decay is necessary for low rank, in regression and in classification", _both_tasks)
def necessary(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Without decay against the strongest decay, seed by seed."""
    for family in data.families:
        without, decayed = family.at(0), family.strongest
        free = Effect.of(without["residual_2"], limits)
        for rule, words in (("residual_2", "d_2/||V||"), ("effective_rank", "effective rank of V")):
            drop = (without[rule] - decayed[rule]).dropna()
            effect = Effect.of(drop, limits)
            yield Finding(
                rule=rule,
                effect=effect,
                effect_name=f"{words} without weight decay minus at the greatest weight decay with every seed ok",
                criterion=f"Supported if the interval lies above 0 and, without decay, that of d_2/||V|| above "
                f"{limits.low_rank:g}; contradicted if the latter lies below {limits.low_rank:g}.",
                threshold=limits.low_rank,
                supported=effect.low > 0 and free.low > limits.low_rank,
                contradicted=free.high < limits.low_rank,
                cells=[*without.loc[drop.index, "cell"], *decayed.loc[drop.index, "cell"]],
                looked_at=family.cells,
                note=f"without decay d_2/||V|| is {number(free.value)}",
                **family.place,
            )


def _whatever_the_data(own: pandas.DataFrame, judged: pandas.DataFrame) -> tuple[str, str]:
    verdict, note = over_datasets(own, judged)
    ranks = judged[(judged["claim"] == "C1") & (judged["rule"] == "residual_2") & (judged["dataset"] != OVERALL)]
    supported, contradicted = (ranks[ranks["verdict"] == verdict] for verdict in (SUPPORTED, CONTRADICTED))
    if len(supported) and len(contradicted):
        depends = (
            f"C1 depends on data and training: supported on {_names(supported)}, contradicted on {_names(contradicted)}"
        )
        return CONTRADICTED, "; ".join(filter(None, (f"bound {note}" if note else "", depends)))
    return verdict, note


@claim("C3", "low rank comes without assumptions on data, optimality or training", _whatever_the_data)
def no_assumption(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The theorem's bound on d_1(V) over ||V||, at the setting, of all families, where its upper end is smallest."""
    decayed = data.cells[data.cells["weight_decay"] > 0]
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
        cells=_known(best, "data_floor"),
        looked_at=decayed,
    )


@claim("C4", "low rank improves the generalization bound")
def better_bound(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Explicit VC bound at rank two against the dense one, at the strongest decay; then the paper's rates."""
    for family in data.families:
        cells = family.strongest
        low, dense = cells["vc_bound_rank_2"], cells["vc_bound_dense"]
        bound, gain = Effect.of(low, limits), Effect.of(dense - low, limits)
        decayed = family.decayed
        every = decayed.loc[decayed["status"] == "ok", EXPLICIT]
        here = cells[EXPLICIT].median().dropna()
        note = "no explicit bound is defined here"
        if len(here):
            note = f"{(here <= 1).sum()} of {len(here)} explicit bounds are at most 1, the least {number(here.min())}"
            note += f"; dense {number(dense.median())}, measured error gap {number(cells['accuracy_gap'].median())}"
        yield Finding(
            rule="vc_bound_rank_2",
            effect=bound,
            effect_name="VC bound on the error gap, V cut to rank two, at the greatest weight decay with every seed ok",
            criterion=f"Supported if the interval lies below 1, the dense net's bound is greater and d_2/||V|| below "
            f"{limits.low_rank:g}; contradicted if every explicit bound is above 1 in every ok cell with decay.",
            threshold=1,
            supported=bound.high < 1 and gain.low > 0 and Effect.of(cells["residual_2"], limits).high < limits.low_rank,
            contradicted=bool(every.min().min() > 1),
            cells=_known(cells, "vc_bound_rank_2"),
            looked_at=decayed,
            note=note,
            **family.place,
        )
        rates = cells["chen2024_rank_two_rate"] / cells["chen2024_dense_rate"]
        ratio = Effect.of(rates, limits)
        yield Finding(
            rule="chen2024_rank_two_rate",
            effect=ratio,
            effect_name="the paper's rate at rank two over its dense rate: arithmetic of m and n, whatever the net",
            criterion="Supported if below 1, contradicted if above.",
            threshold=1,
            supported=ratio.high < 1,
            contradicted=ratio.low > 1,
            cells=list(cells.loc[rates.notna(), "cell"]),
            looked_at=decayed,
            **family.place,
        )


@claim("C5a", "nets with weight decay and low rank generalize better than nets without decay")
def generalizes_better(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Test loss without decay minus at the best decay; the other seeds choose it, so luck is not counted as merit."""
    for family in data.families:
        without = family.at(0)
        for rule, residual, words in (
            ("residual_2", limits.low_rank, f"the best decay with d_2/||V|| below {limits.low_rank:g}"),
            ("test_loss", np.inf, "the best decay"),
        ):
            chosen = _chosen(family, residual)
            gain = (without["test_loss"] - chosen["test_loss"]).dropna()
            effect = Effect.of(gain, limits)
            yield Finding(
                rule=rule,
                effect=effect,
                effect_name=f"test loss without weight decay minus at {words}, chosen for each seed by the others",
                criterion="Supported if the interval lies above 0, contradicted if below.",
                threshold=0,
                supported=effect.low > 0,
                contradicted=effect.high < 0,
                cells=[*without.loc[gain.index, "cell"], *chosen.loc[gain.index, "cell"]],
                looked_at=family.cells,
                note=f"weight decay {_decay(chosen)}" if len(chosen) else "no such weight decay",
                **family.place,
            )


def _chosen(family: Family, residual: float) -> pandas.DataFrame:
    """For each seed its cell at the decay of least test loss, and residual below `residual`, by the *other* seeds."""
    cells = family.cells[family.cells["weight_decay"].isin(family.decays)]
    losses, residuals = (
        cells.pivot(index="seed", columns="weight_decay", values=v) for v in ("test_loss", "residual_2")
    )
    chosen = {}
    for seed in losses.index:
        low_rank = residuals.drop(index=seed).median() < residual
        others = losses.drop(index=seed).mean()[low_rank & losses.loc[seed].notna()]
        if len(others):
            chosen[seed] = others.idxmin()
    return cells[cells["weight_decay"] == cells["seed"].map(chosen)].set_index("seed")


@claim("C5b", "low rank is why: rank tells something about the gap once weight decay is known")
def rank_beyond_decay(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Rank statistics of effective rank against the gap in all families that share training data and decay rule.

    Where nets of equal decay differ in their seed only, neighbouring decays repeat one order of the few seeds, and
    chance alone gives great correlations: that is no evidence.
    """
    statistics = {
        "tau_fixed_control": "Kendall tau of effective rank and gap over pairs of nets of equal weight decay",
        "partial_spearman": "Spearman correlation of effective rank and gap given weight decay",
    }
    seen = set()
    for family in data.families:
        same = (data.cells[SAME_DATA] == family.cells[SAME_DATA].iloc[0]).all(axis=1)
        if (group := tuple(data.cells.index[same])) in seen:
            continue
        seen.add(group)
        cells = data.cells[same]
        used = cells[(cells["status"] == "ok") & cells[["effective_rank", predictors.GAP]].notna().all(axis=1)]
        settings = used.drop_duplicates([*FAMILY, "weight_decay"])
        varied = bool(settings["weight_decay"].duplicated().any())
        scored = predictors.compare(cells, ["effective_rank"], resamples=limits.resamples).set_index("statistic")
        for statistic, words in statistics.items():
            row = scored.loc[[statistic]].iloc[0]
            effect = Effect(row["value"], row["low"], row["high"], int(row["seeds"]))
            yield Finding(
                rule=f"effective_rank {statistic}",
                effect=effect,
                effect_name=words,
                criterion=f"Contradicted if the interval lies below {limits.negligible_tau:g}, where rank tells next "
                "to nothing, or tells the opposite; else supported if it lies above 0. Needs nets of equal decay that "
                "differ in more than the seed.",
                threshold=limits.negligible_tau,
                supported=varied and effect.low > 0 and effect.high >= limits.negligible_tau,
                contradicted=varied and effect.high < limits.negligible_tau,
                cells=list(
                    used["cell"] if statistic == "tau_fixed_control" else used.loc[used["weight_decay"] > 0, "cell"]
                ),
                looked_at=cells,
                note="" if varied else "nets of equal decay differ in the seed only",
                **family.place,
            )


def _known(cells: pandas.DataFrame, column: str) -> list[str]:
    return list(cells.loc[cells[column].notna(), "cell"])


def _decay(cells: pandas.DataFrame) -> str:
    """`0.1 (0.32 of the critical)`, of the median cell."""
    ratio = cells["decay_ratio"].astype(float).median()
    return f"{cells['weight_decay'].median():g}" + ("" if np.isnan(ratio) else f" ({number(ratio)} of the critical)")


def verdicts(cells: pandas.DataFrame, limits: Limits) -> pandas.DataFrame:
    """Rows of verdicts.parquet, from rows of gaps.parquet: claim by claim, `overall` rows after those of the data sets.

    A run that stands in the study under two names (`full` and the batch size that it means) counts once.
    """
    counts = {name: float for name, kind in cells.dtypes.items() if kind == "Int64" and name not in AXES}
    cells = cells.astype(counts).drop_duplicates(list(AXES)).copy()
    datasets = [DataSet(part) for _, part in cells.groupby("dataset", sort=False)]
    rows: list[dict[str, object]] = []
    for one in CLAIMS.values():
        findings = [(data, found) for data in datasets for found in one.judge(data, limits)]
        first = findings[0][1].rule
        own = pandas.DataFrame([_row(one, data, found) for data, found in findings])
        own["headline"] = own["main"] & (own["rule"] == first)
        rows += own.to_dict("records")
        for rule, main in own[own["main"]].groupby("rule", sort=False):
            combine = one.combine if rule == first else over_datasets
            rows.append(_overall(main, *combine(main, pandas.DataFrame(rows))) | {"headline": rule == first})
    return pandas.DataFrame(rows).drop(columns="main")


def _row(one: Claim, data: DataSet, found: Finding) -> dict[str, object]:
    return {
        "claim": one.id,
        **data.cells[["dataset", "task"]].iloc[0],
        **{name: getattr(found, name) for name in ("family", "main", "rule", "verdict")},
        "effect": found.effect.value,
        "low": found.effect.low,
        "high": found.effect.high,
        "seeds": found.effect.seeds,
        "cells": len(found.cells),
        **{status: int((found.looked_at["status"] == status).sum()) for status in STATUSES},
        **{name: getattr(found, name) for name in ("effect_name", "threshold", "criterion", "note")},
        "rests_on": found.cells,
    }


def _overall(rows: pandas.DataFrame, verdict: str, note: str) -> dict[str, object]:
    """The row over all data sets of one claim and rule, from the rows of their main families."""
    return {
        "claim": rows["claim"].iloc[0],
        "dataset": OVERALL,
        "family": "",
        "rule": rows["rule"].iloc[0],
        "verdict": verdict,
        "effect": (rows["verdict"] == SUPPORTED).mean(),
        "seeds": rows["seeds"].min(),
        **rows[["cells", *STATUSES]].sum(),
        "effect_name": "share of the data sets that support the claim",
        "criterion": "Supported if it is in every data set, contradicted if it is in any.",
        "note": note,
        "rests_on": [name for names in rows["rests_on"] for name in names],
    }


SHOWN = ["claim", "dataset", "rule", "family", "task", "headline", "verdict", "effect", "low", "high", "seeds", "cells"]
NAMES = [*SHOWN, *STATUSES, "effect_name", "threshold", "criterion", "note", "rests_on"]


def headlines(rows: pandas.DataFrame) -> pandas.DataFrame:
    """For people: a line for each claim, with its verdict and the data sets behind it."""
    shown = rows[rows["headline"]]
    lines = []
    for one, found in shown.groupby("claim", sort=False):
        whole, parts = found[found["dataset"] == OVERALL].iloc[0], found[found["dataset"] != OVERALL]
        line = {"claim": f"{one}: {CLAIMS[one].words}", "verdict": whole["verdict"]}
        for verdict in (SUPPORTED, CONTRADICTED, INCONCLUSIVE):
            line[f"{verdict} on"] = ", ".join(parts.loc[parts["verdict"] == verdict, "dataset"]) or "-"
        lines.append(line)
    return pandas.DataFrame(lines)


def details(rows: pandas.DataFrame) -> pandas.DataFrame:
    """For people: a line for each of the rows, with its numbers."""
    lines = [
        {
            "claim": row.claim,
            "data set": f"{row.dataset} ({row.family})" if row.family else row.dataset,
            "verdict": row.verdict,
            "effect": number(row.effect),
            "95 % interval": bracket(row.low, row.high),
            "seeds, cells": f"{row.seeds}, {row.cells}",
            "remark": row.note,
        }
        for row in rows.itertuples()
    ]
    return pandas.DataFrame(lines)


def ranks(rows: pandas.DataFrame) -> pandas.DataFrame:
    """For people: the rank of V by every rule at C1's setting, a line for each data set."""
    shown = rows[(rows["claim"] == "C1") & rows["rule"].str.startswith("rank_") & (rows["family"] == "")]
    shown = shown[shown["dataset"] != OVERALL]
    lines = [
        {"data set": name}
        | {row.rule.removeprefix("rank_").replace("_", "-"): number(row.effect) for row in found.itertuples()}
        for name, found in shown.groupby("dataset", sort=False)
    ]
    return pandas.DataFrame(lines)


def excluded(cells: pandas.DataFrame) -> list[str]:
    """For people: how many cells of each data set ended other than ok, and at which weight decays."""
    failed = cells[cells["status"] != "ok"]
    return [
        f"{name}: {len(found)} {status}, at weight decay " + ", ".join(map(short, sorted(set(found["weight_decay"]))))
        for (name, status), found in failed.groupby(["dataset", "status"], sort=False)
    ] or ["none"]


def page(rows: pandas.DataFrame, cells: pandas.DataFrame) -> list[tables.Part]:
    """For people: the verdicts first; then the numbers, the criteria and what was left out."""
    whole = rows["dataset"] == OVERALL
    first = {one: found["rule"].iloc[0] for one, found in rows.groupby("claim")}
    others = rows[(rows["family"] != "") & (rows["rule"] == rows["claim"].map(first))]
    remarks = [f"- {row.claim}: {row.note}" for row in rows[whole & rows["headline"]].itertuples() if row.note]
    criteria = rows[~whole & rows["headline"]].drop_duplicates("claim")
    parts = [
        headlines(rows),
        "\n".join(remarks),
        "By data set:",
        details(rows[~whole & rows["headline"]]),
        *(["In the other families of cells:", details(others)] if len(others) else []),
        *(["Rank of V at C1's setting, by rule, median over seeds:", ranks(rows)] if len(ranks(rows)) else []),
        "Effects and criteria:",
        "\n".join(f"- {row.claim}: {row.effect_name}. {row.criterion}" for row in criteria.itertuples()),
        "Effects are medians over seeds. Of 3 seeds the interval is their range, which holds the true median in 75 % "
        "of studies (88 % of 4, 94 % of 5). Fewer than 3 seeds: inconclusive.",
        "Cells that support nothing:",
        "\n".join(f"- {line}" for line in excluded(cells)),
    ]
    return [part for part in parts if len(part)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument("--thresholds", type=json.loads, default={}, help="JSON: the numbers of `Limits`")
    parser.add_argument("--output", type=Path, required=True)
    for kind in ("md", "tex", "html"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    cells = gaps.read("gaps", arguments.gaps)
    rows = verdicts(cells, Limits(**arguments.thresholds))
    table = pyarrow.Table.from_pandas(rows, schema=columns.schema(NAMES), preserve_index=False)
    files.write_parquet(arguments.output, table, {"provenance": provenance.circumstances("verdicts", [arguments.gaps])})
    origin, parts = gaps.origin(cells), page(rows, cells)
    shown = rows[rows["headline"] & (rows["dataset"] != OVERALL)]
    tables.write(
        {
            arguments.md: tables.to_markdown(origin, *parts),
            arguments.tex: tables.to_latex(origin, headlines(rows), details(shown)),
            arguments.html: tables.to_html("Verdicts", origin, *parts),
        }
    )


if __name__ == "__main__":
    run(main)
