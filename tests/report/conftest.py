"""Made-up rows of gaps.parquet and verdicts.parquet, for the tests of tables, macros and pages."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from support import PAPER_NET

from ranktwo.evidence import timing
from ranktwo.store import files

MOMENTS = [name for name in timing.COLUMNS if name.endswith("_step")]
WHOLE = ("train_size", "split", "batch_size", "steps", "seed", *MOMENTS)


@pytest.fixture
def make_gaps() -> Callable[..., pandas.DataFrame]:
    """Makes rows of two families with four weight decays and three seeds; `mu1="unfit"` sets a decay's status."""

    def make(**statuses: str) -> pandas.DataFrame:
        random = np.random.default_rng(0)
        rows = [
            {
                **{"cell": f"{batch_size}-{mu}-{seed}", "dataset": "toy", "task": "binary", "inputs": 3, "outputs": 1},
                **{"train_size": 50, "split": 0, "label_noise": 0.0, "widths": "8", "optimizer": "sgd"},
                **PAPER_NET,
                "learning_rate": 0.1,
                **{"schedule": "constant", "batch_size": batch_size, "weight_decay": mu, "decay_rule": "constant"},
                **{"steps": 10, "seed": seed, "status": statuses.get(f"mu{mu:g}", "ok")},
                **{"train_r2": np.nan, "test_r2": np.nan},
                **{name: random.uniform(1, 9) for name in ("train_loss", "test_loss", "effective_rank", "residual_2")},
                **{name: random.uniform(0, 1) for name in ("train_accuracy", "test_accuracy")},
                **{name: random.integers(1, 9) for name in timing.COLUMNS},
            }
            for batch_size in (16, 50)
            for mu in (0.0, 1e-3, 1e-2, 1.0)
            for seed in range(3)
        ]
        # As files are read: whole numbers that may be null.
        return pandas.DataFrame(rows).astype(dict.fromkeys(WHOLE, "Int64"))

    return make


@pytest.fixture
def verdict_rows() -> pandas.DataFrame:
    """Rows of two claims on two data sets, with rows of ranks and of another family."""
    facts = {"family": "", "headline": True, "effect": np.nan, "low": np.nan, "high": np.nan, "cells": 6}
    facts |= {"splits": 1, "replicates": 3, "architecture": "mlp", "matrix": "V", "sample_rank": pandas.NA}
    facts |= {"rule": "residual_2", "effect_name": "d_2/||V||", "criterion": "Supported if below 0.1.", "note": ""}
    good = {"verdict": "supported", "effect": 1.21e-7, "low": 1.1e-7, "high": 1.3e-7}
    bad = {"verdict": "contradicted", "effect": 0.789, "low": 0.7, "high": 0.8}
    rows = [
        {"claim": "C1", "dataset": "digits-3v8", **good, "note": "6 of 6 rules | all"},
        {"claim": "C1", "dataset": "a_b", **bad},
        {"claim": "C1", "dataset": "a_b", **bad, "family": "B 64", "headline": False},
        {"claim": "C1", "dataset": "a_b", **bad, "rule": "rank_relative_tolerance", "effect": 7.0, "headline": False},
        {"claim": "C1", "dataset": "digits-3v8", **good, "rule": "rank_energy", "effect": 2.0, "headline": False},
        {"claim": "C1", "dataset": "overall", "verdict": "contradicted", "note": "contradicted on a_b"},
        {"claim": "C5a", "dataset": "digits-3v8", "verdict": "inconclusive", "rule": "test_loss", "cells": 0},
        {"claim": "C5a", "dataset": "a_b", **good, "rule": "test_loss", "effect": -0.02},
        {"claim": "C5a", "dataset": "overall", "verdict": "inconclusive", "rule": "test_loss"},
        {"claim": "C1", "dataset": "a_b", **bad, "rule": "rank_energy", "family": "B 64", "headline": False},
    ]
    return pandas.DataFrame([facts | row for row in rows])


@pytest.fixture
def run_on_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Runs a stage's `main` on rows written as Parquet files; gives the texts of the files that it made, by option."""

    def run(
        stage: object, *arguments: str, writes: tuple[str, ...], options: dict[str, str], **rows: pandas.DataFrame
    ) -> dict[str, str]:
        given = [*arguments, *(f"--{name}={value}" for name, value in options.items())]
        for name, frame in rows.items():
            path = tmp_path / f"{name}.parquet"
            table = pyarrow.Table.from_pandas(frame, preserve_index=False)
            files.write_parquet(path, table, {"provenance": {"stage": name, "device": "a <b>"}})
            given.append(f"--{name}={path}")
        given += [f"--{name}={tmp_path / f'made.{name}'}" for name in writes]
        monkeypatch.setattr("sys.argv", ["stage", *given])
        stage.main()
        return {name: (tmp_path / f"made.{name}").read_text() for name in writes}

    return run
