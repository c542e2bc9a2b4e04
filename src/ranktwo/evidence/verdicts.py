"""A verdict on every registered claim: rows for each data set and architecture, and one over all data sets."""

import re

import pandas

from ranktwo.evidence.claims.families import ARCHITECTURE, DataSet, V, by_architecture
from ranktwo.evidence.claims.judging import STATUSES, SUPPORTED, VERDICTS, Claim, Finding, corrected
from ranktwo.evidence.gaps import Cells
from ranktwo.evidence.predictors import OVERALL
from ranktwo.store import registry
from ranktwo.store.columns import BOOL, REAL, TEXT, TEXTS, WHOLE, column
from ranktwo.store.records import MATRIX
from ranktwo.study.axes import AXES, CELL_COLUMNS
from ranktwo.study.limits import Limits

COLUMNS = {
    "claim": column(TEXT, "The claim that the row judges, of arXiv 2410.02176 or ours; verdicts.md has its words."),
    "dataset": CELL_COLUMNS["dataset"],
    "architecture": ARCHITECTURE,
    "matrix": MATRIX["matrix"],
    "sample_rank": column(
        WHOLE, "R of the matrix, of whose rank the theorem speaks; null but in rows of layers, of C1 and C2."
    ),
    "rule": column(
        TEXT, "What the claim was judged by: a column of gaps.parquet, and the statistic if there are several."
    ),
    "family": column(
        TEXT,
        "Cells that differ in weight decay, split and seed only: the values of the axes in which they differ from the "
        "main family of the data set and architecture, which is the one with the most cells among those with clean "
        "labels, constant decay, SGD and mini-batches; empty for that one.",
    ),
    "task": CELL_COLUMNS["task"],
    "headline": column(
        BOOL,
        "Whether the row is the claim's verdict for its data set: by its first rule, of the main family, and of one "
        "architecture: the paper's if a data set has it, or else the one that most data sets have.",
    ),
    "verdict": column(
        TEXT,
        f"{', '.join(f'`{word}`' for word in VERDICTS)}: by `criterion`, at the 5 % level; of layers after Holm's "
        "correction over the matrices of the family.",
    ),
    "effect": column(REAL, "The number that `effect_name` describes, a mean over splits of means over their seeds."),
    "low": column(
        REAL,
        "Lower end of the 95 % interval, by Student's t over splits, or over the seeds of one split alone; null for "
        "fewer than 3.",
    ),
    "high": column(REAL, "Upper end of that interval."),
    "p_supported": column(
        REAL,
        "p-value of the claim's criterion, two-sided: the least level at which the row is `supported`; null where "
        "nothing can be told without an interval.",
    ),
    "p_contradicted": column(REAL, "The same of the contrary, for `contradicted`."),
    "splits": column(WHOLE, "Number of splits that the row rests on; of `overall` the fewest of its data sets."),
    "replicates": column(WHOLE, "Number of replicates, pairs of split and seed, likewise."),
    "cells": column(WHOLE, "Number of cells that the row rests on."),
    "ok": column(WHOLE, "Cells looked at that ended `ok`. No others support or contradict anything."),
    "unfit": column(WHOLE, "Cells looked at and left out as `unfit`."),
    "collapsed": column(WHOLE, "Cells looked at and left out as `collapsed`."),
    "diverged": column(WHOLE, "Cells looked at and left out as `diverged`."),
    "effect_name": column(TEXT, "What the effect is, with its unit."),
    "threshold": column(REAL, "The number in `criterion`."),
    "criterion": column(TEXT, "When the claim is supported and when it is contradicted; else it is inconclusive."),
    "note": column(TEXT, "What else a reader of the verdict has to know."),
    "rests_on": column(TEXTS, "Names of these cells."),
}


def claims() -> dict[str, Claim]:
    """Every registered claim by its id, C2 before C10."""
    return dict(sorted(registry.load_all("claim").items(), key=lambda item: _parts(item[0])))


def _parts(id: str) -> list[str | int]:
    """An id's letters and numbers in turn, `C5b` as C, 5, b."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", id)]


def verdicts(cells: Cells, layers: pandas.DataFrame, limits: Limits) -> pandas.DataFrame:
    """Rows of verdicts.parquet, from rows of gaps.parquet and of layers.parquet.

    They stand claim by claim and architecture by architecture, the `overall` rows after those of the data sets. A run
    that stands in the study under two names (`full` and the batch size that it means) counts once.
    """
    judged = _counted_as_real(cells.rows).drop_duplicates(list(AXES))
    own_matrices = _counted_as_real(layers.dropna(subset=["depth"]))
    architectures = {
        name: [DataSet(part, cells.kinds, own_matrices) for part in parts] for name, parts in by_architecture(judged)
    }
    rows: list[dict[str, object]] = []
    for one in claims().values():
        for number, (name, datasets) in enumerate(architectures.items()):
            findings = [(data, finding) for data in datasets for finding in one.judge(data, limits)]
            first = findings[0][1].rule
            own = pandas.DataFrame([_row(one, data, finding) for data, finding in findings]).assign(architecture=name)
            for _, of_one_net in own[own["by_layer"]].groupby(["dataset", "family", "rule"]):
                own.loc[of_one_net.index, "verdict"] = corrected(of_one_net)["verdict"]
            own["headline"] = own["main"] & (own["rule"] == first) & (number == 0)
            rows += own.to_dict("records")
            for rule, main in own[own["main"]].groupby("rule", sort=False):
                headline = rule == first and number == 0
                rows.append(_overall(main, one) | {"architecture": name, "headline": headline})
    return pandas.DataFrame(rows)[list(COLUMNS)].astype({"sample_rank": "Int64"})


def _counted_as_real(rows: pandas.DataFrame) -> pandas.DataFrame:
    """The rows with whole numbers that are no axes as numbers of any kind, of which there are means."""
    return rows.astype({name: float for name, kind in rows.dtypes.items() if kind == "Int64" and name not in AXES})


def _row(one: Claim, data: DataSet, finding: Finding) -> dict[str, object]:
    return {
        "claim": one.id,
        **data.rows[["dataset", "task"]].iloc[0],
        **{name: getattr(finding, name) for name in ("family", "main", "matrix", "by_layer", "sample_rank")},
        **{name: getattr(finding, name) for name in ("rule", "verdict")},
        **{name: getattr(finding.effect, name) for name in ("low", "high", "splits", "replicates")},
        "effect": finding.effect.value,
        **{
            f"p_{name}": _judged(finding, p)
            for name, p in (("supported", finding.support), ("contradicted", finding.against))
        },
        "cells": len(finding.cells),
        **{status: int((finding.looked_at["status"] == status).sum()) for status in STATUSES},
        **{name: getattr(finding, name) for name in ("effect_name", "threshold", "criterion", "note")},
        "rests_on": finding.cells,
    }


def _judged(finding: Finding, p_value: float) -> float | None:
    """A finding's p-value; null without an interval, unless it needs none, as where one cell breaks a theorem."""
    return p_value if finding.effect.known or p_value < 1 else None


def _overall(rows: pandas.DataFrame, one: Claim) -> dict[str, object]:
    """The row over all data sets of one claim, architecture and rule, from the rows of their main families."""
    verdict, note = one.combine.judge(rows)
    return {
        "claim": one.id,
        "dataset": OVERALL,
        "matrix": V,
        "family": "",
        "rule": rows["rule"].iloc[0],
        "verdict": verdict,
        "effect": (rows["verdict"] == SUPPORTED).mean(),
        **rows[["splits", "replicates"]].min(),
        **rows[["cells", *STATUSES]].sum(),
        "effect_name": "share of the data sets that support the claim, each judged by itself",
        "criterion": one.combine.criterion,
        "note": note,
        "rests_on": [name for names in rows["rests_on"] for name in names],
    }
