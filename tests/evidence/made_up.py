"""Made-up rows of gaps.parquet, and what verdicts say of them, for every test that starts from there."""

import numpy as np
import pandas
import pyarrow
from support import SGD_AXES

from ranktwo.evidence import verdicts
from ranktwo.evidence.effects import Effect
from ranktwo.evidence.gaps import Cells
from ranktwo.store.columns import REAL, WHOLE, column, schema
from ranktwo.study.limits import Limits

REQUIRED = [
    *("cell", "dataset", "task", "train_size", "label_noise", "widths", "optimizer", "learning_rate", "schedule"),
    *("batch_size", "weight_decay", "steps", "seed", "status", "train_loss", "test_loss", "loss_gap"),
    *("train_accuracy", "test_accuracy", "accuracy_gap", "train_r2", "test_r2", "norm", "initial_norm"),
    *("stable_rank", "effective_rank", "participation_ratio", "residual_1", "residual_2", "residual_3"),
    *("rank_numpy", "rank_galanti", "rank_relative", "rank_energy"),
]
"""Columns that gaps.parquet has had from the first; notebooks of readers use them."""
RANK_RULES = [f"rank_{name}" for name in ("numpy", "galanti", "relative", "energy", "gavish_donoho")]
EXPLICIT = ["vc_bound_dense", "vc_bound_rank_2", "bartlett2017_bound"]
KINDS = {
    **dict.fromkeys(RANK_RULES, "rank"),
    **dict.fromkeys(["chen2024_dense_rate", "chen2024_rank_two_rate"], "rate"),
    **dict.fromkeys(EXPLICIT, "bound"),
    **dict.fromkeys(["path_norm_1", "spectral_stable_rank_over_margin"], "measure"),
}
"""Kinds of the made-up columns."""
MANY = (0.0, 0.01, 0.02, 0.04, 0.08, 0.1, 0.2, 0.3, 0.4)
"""Weight decays of which each makes a pair of settings to compare."""
LIMITS = Limits()


def falls(mu, seed):
    """A rank-two residual that decay makes small."""
    return (0.01 if mu else 0.9) + 0.001 * seed


def study(dataset="toy", decays=(0.0, 0.1, 0.2), seeds=3, status="ok", split=0, **changes):
    """Rows of gaps.parquet in which every claim but C5b is supported; a change is a value or a function of mu, seed."""
    values = {
        **SGD_AXES,
        "task": "binary",
        "inputs": 10,
        "input_rank": 10,
        "status": status,
        "residual_1": 0.3,
        "residual_2": falls,
        "effective_rank": lambda mu, seed: 2 + seed if mu else 8 + seed,
        "stable_rank": 1.5,
        "norm": 3.0,
        "functional_rank": 2,
        "optimum_residual_2": lambda mu, seed: falls(mu, seed) if mu else None,
        "optimum_effective_rank": lambda mu, seed: 2 + seed if mu else None,
        "relative_gap": 0.01,
        "sample_rank": 1,
        "vacuity_lower": 0.5,
        "vacuity_upper": 0.8,
        "data_floor": 0.05,
        "critical_decay": 0.5,
        "decay_ratio": lambda mu, seed: mu / 0.5,
        "test_loss": lambda mu, seed: (0.5 if mu else 1.0) + 0.01 * seed,
        "accuracy_gap": 0.02,
        "matched_loss_gap": lambda mu, seed: 0.3 - mu + 0.01 * seed,
        **dict.fromkeys(RANK_RULES, 2),
        **{name: 2.0 for name, kind in KINDS.items() if kind != "rank"},
        "vc_bound_rank_2": 0.4,
        "chen2024_rank_two_rate": 1.0,
    } | changes
    rows = [
        {name: value(mu, seed) if callable(value) else value for name, value in values.items()}
        | {"dataset": dataset, "weight_decay": mu, "split": split, "seed": seed}
        for mu in decays
        for seed in range(seeds)
    ]
    table = pandas.DataFrame(rows)
    ending = f"-{split}" if split else ""
    table["cell"] = [
        f"{r.dataset}-{r.batch_size}-{r.label_noise:g}-{r.weight_decay:g}-{r.seed}{ending}" for r in table.itertuples()
    ]
    return table


def by_rank(sign):
    """Two batch sizes; of nets of equal decay those of higher rank have a greater, a smaller or an unrelated loss."""
    noise = np.random.default_rng(0)
    parts = []
    for size, shift in ((4, 0.0), (16, 5.0)):
        ranks = {(mu, s): 2 + shift + noise.uniform() for mu in MANY for s in range(4)}
        gaps = {key: sign * rank + (noise.normal() if sign == 0 else 0) for key, rank in ranks.items()}
        parts.append(
            study(
                batch_size=size,
                decays=MANY,
                seeds=4,
                effective_rank=lambda mu, s, r=ranks: r[mu, s],
                test_loss=lambda mu, s, g=gaps: g[mu, s],
                matched_loss_gap=lambda mu, s, g=gaps: g[mu, s],
            )
        )
    return pandas.concat(parts)


def effect_of(values, splits=False):
    """The effect of these values, one for each seed of one split or for each split."""
    places = [(number, 0) if splits else (0, number) for number in range(len(values))]
    return Effect.of(pandas.Series(values, index=pandas.MultiIndex.from_tuples(places, names=["split", "seed"])))


NO_LAYERS = pandas.DataFrame(
    {name: [] for name in ("cell", "matrix", "depth", "rows", "columns", "sample_rank", "residual_sample_rank")}
)
"""Rows of layers.parquet where no test asks for more."""


def judge(*parts, kinds=KINDS, layers=NO_LAYERS):
    """The verdicts on these rows of gaps.parquet."""
    return verdicts.verdicts(Cells(pandas.concat(parts, ignore_index=True), kinds), layers, LIMITS)


def one(rows, claim, dataset="toy", rule=None, family=""):
    """The verdict on a claim by its first rule or by a named one."""
    chosen = rows[(rows["claim"] == claim) & (rows["dataset"] == dataset) & (rows["family"] == family)]
    chosen = chosen[chosen["headline"]] if rule is None else chosen[chosen["rule"] == rule]
    assert len(chosen) == 1
    return chosen.iloc[0]


def as_table(rows, kinds=KINDS):
    """Rows of gaps.parquet as a table whose columns have their kinds."""
    plain = pyarrow.Table.from_pandas(rows, preserve_index=False)
    declared = schema({name: column(WHOLE if kind == "rank" else REAL, "", kind=kind) for name, kind in kinds.items()})
    fields = [declared.field(field.name) if field.name in kinds else field for field in plain.schema]
    return plain.cast(pyarrow.schema(fields))
