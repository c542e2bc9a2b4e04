"""TODO evidence.verdicts."""

import pandas

from ranktwo.evidence.claims.judging import CLAIMS, STATUSES, SUPPORTED, Claim, DataSet, Finding, Limits, over_datasets
from ranktwo.evidence.predictors import OVERALL
from ranktwo.study.axes import AXES


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
