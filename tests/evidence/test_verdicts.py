"""Verdicts change when the numbers do, failed cells never support, and what is shown is what was found."""

import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas
import pyarrow
import pytest
import scipy.stats
from evidence.made_up import (
    EXPLICIT,
    KINDS,
    LIMITS,
    MANY,
    NO_LAYERS,
    RANK_RULES,
    as_table,
    by_rank,
    effect_of,
    falls,
    judge,
    one,
    study,
)

from ranktwo.evidence import gaps, predictors, verdicts
from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import counted, for_all
from ranktwo.evidence.gaps import Cells
from ranktwo.stages import predictors as predictors_stage
from ranktwo.stages import verdicts as verdicts_stage
from ranktwo.store import files, registry

CLAIMS = verdicts.claims()


def spread(low, high):
    """Values of three seeds around a threshold."""
    return lambda mu, seed: [low, (low + high) / 2, high][seed]


def near(mu, seed):
    """A prediction for nets with weight decay."""
    return falls(mu, seed) if mu else np.nan


EXPLICIT_VACUOUS = dict.fromkeys(EXPLICIT, 5.0)
TWO_WIDE = {"vc_bound_dense": 0.3, "vc_bound_rank_2": lambda mu, s: 0.4 + 0.001 * s}


def of_two_sizes(**changes):
    """Two families: nets of another batch size, as they are in `study`, beside nets with these changes."""
    return pandas.concat([study(**changes), study(batch_size=8)])


CASES = [
    ("C1", "supported", study()),
    ("C1", "contradicted", study(residual_2=0.5)),
    ("C1", "inconclusive", study(residual_2=spread(0.05, 0.13))),
    ("C1", "trivial", study(inputs=2)),
    ("C1", "trivial", study(input_rank=2, residual_2=0.5)),
    ("C1", "trivial", study(widths="2")),
    ("C1b", "supported", study()),
    ("C1b", "contradicted", study(residual_2=lambda mu, s: 0.5 if mu == 0.1 else 0.01, test_loss=lambda mu, s: mu)),
    ("C1b", "supported", study(residual_2=lambda mu, s: 0.5 if mu == 0.1 else 0.01, test_loss=lambda mu, s: -mu)),
    ("C1b", "inconclusive", study(residual_2=spread(0.05, 0.13))),
    ("C1b", "trivial", study(inputs=2)),
    ("C1c", "supported", study()),
    ("C1c", "contradicted", study(residual_2=lambda mu, s: 0.5 if mu == 0.1 else 0.01)),
    ("C1c", "inconclusive", study(residual_2=lambda mu, s: spread(0.1, 0.22)(mu, s) if mu == 0.1 else 0.01)),
    ("C1c", "trivial", study(inputs=2)),
    ("C2", "supported", study()),
    ("C2", "contradicted", study(residual_2=lambda mu, s: 0.01 if mu else 0.05)),
    ("C2", "inconclusive", study(residual_2=0.9)),
    ("C2", "inconclusive", study(residual_2=lambda mu, s: 0.5 if mu else 0.9)),
    ("C2", "inconclusive", study(residual_2=lambda mu, s: 0.01 if mu else spread(0.05, 0.15)(mu, s))),
    ("C2", "inconclusive", study(decays=(0.1, 0.2))),
    ("C2", "trivial", study(inputs=2)),
    ("C3", "supported", study()),
    ("C3", "contradicted", study(residual_1=0.81)),
    ("C3", "vacuous", study(vacuity_lower=1.0, vacuity_upper=4.0)),
    ("C3", "inconclusive", study(vacuity_lower=0.5, vacuity_upper=4.0)),
    ("C3", "inconclusive", study(vacuity_upper=spread(0.8, 1.2))),
    ("C3", "inconclusive", study(vacuity_lower=lambda mu, s: 2.0 if mu == 0.2 else 0.9, vacuity_upper=4.0)),
    ("C3b", "supported", of_two_sizes()),
    ("C3b", "contradicted", study(residual_2=0.5)),
    ("C3b", "contradicted", of_two_sizes(residual_2=lambda mu, s: 0.5 if mu else 0.9)),
    ("C3b", "inconclusive", of_two_sizes(residual_2=spread(0.05, 0.13))),
    ("C3b", "inconclusive", study()),
    ("C3b", "trivial", study(inputs=2)),
    ("C4", "supported", study()),
    ("C4", "contradicted", study(**TWO_WIDE)),
    ("C4", "vacuous", study(**EXPLICIT_VACUOUS)),
    ("C4", "inconclusive", study(vc_bound_dense=lambda mu, s: 0.4 + spread(-0.1, 0.1)(mu, s))),
    ("C4", "inconclusive", study(vc_bound_rank_2=spread(0.8, 1.2))),
    ("C4", "inconclusive", study(residual_2=0.5)),
    ("C4", "inconclusive", study(task="regression", **dict.fromkeys(EXPLICIT))),
    ("C5a", "supported", study()),
    ("C5a", "contradicted", study(test_loss=lambda mu, s: 1.5 if mu else 1.0)),
    ("C5a", "contradicted", study(test_loss=lambda mu, s: 0.99 if mu else 1.0)),
    ("C5a", "inconclusive", study(test_loss=lambda mu, s: 1.0 if mu else spread(0.9, 1.1)(mu, s))),
    ("C5a", "inconclusive", study(residual_2=0.5)),
    ("C6", "supported", study(optimum_residual_2=lambda mu, s: near(mu, s) + 0.04)),
    ("C6", "contradicted", study(optimum_residual_2=lambda mu, s: near(mu, s) + 0.06)),
    ("C6", "contradicted", study(optimum_residual_2=lambda mu, s: near(mu, s) - 0.1 * (mu == 0.2))),
    ("C6", "inconclusive", study(optimum_residual_2=lambda mu, s: near(mu, s) + spread(0.03, 0.08)(mu, s))),
    ("C6", "inconclusive", study(optimum_residual_2=None)),
    ("C6", "inconclusive", study(status="collapsed")),
    ("C5b", "supported", by_rank(1)),
    ("C5b", "contradicted", by_rank(-1)),
    ("C5b", "inconclusive", by_rank(0)),
    ("C5b", "inconclusive", by_rank(1).query("weight_decay < 0.015")),
    ("C5b", "inconclusive", by_rank(1).query("batch_size == 16")),
    ("C5b", "inconclusive", by_rank(-1).query("batch_size == 16")),
]


@pytest.mark.parametrize(("claim", "verdict", "rows"), CASES)
def test_every_claim_is_supported_contradicted_or_open_as_the_numbers_are(claim, verdict, rows):
    found = one(judge(rows), claim)
    assert found["verdict"] == verdict
    assert found["claim"] == claim and found["criterion"] and found["effect_name"]
    assert found["cells"] == len(found["rests_on"])
    assert set(found["rests_on"]) <= set(rows["cell"])


def test_every_claim_has_its_three_cases():
    assert {(claim, verdict) for claim, verdict, _ in CASES} == {
        (claim, verdict)
        for claim in CLAIMS
        for verdict in ("supported", "contradicted", "inconclusive")
        + (("vacuous",) if claim in ("C3", "C4") else ())
        + (("trivial",) if claim in ("C1", "C1b", "C1c", "C2", "C3b") else ())
    }


def test_effects_are_means_and_differences_by_seed():
    rows = judge(study(residual_2=lambda mu, s: [0.01, 0.02, 0.06][s] + (0.5 + 0.01 * s if not mu else 0)))
    found = one(rows, "C1")
    reach = scipy.stats.t.ppf(0.975, 2) * np.std([0.01, 0.02, 0.06], ddof=1) / np.sqrt(3)
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.03, 0.03 - reach, 0.03 + reach))
    assert found["p_supported"] == pytest.approx(scipy.stats.ttest_1samp([0.01, 0.02, 0.06], 0.1).pvalue)
    assert found["p_contradicted"] == 1
    paired = one(rows, "C2")
    reach = scipy.stats.t.ppf(0.975, 2) * 0.01 / np.sqrt(3)
    assert (paired["effect"], paired["low"], paired["high"]) == pytest.approx((0.51, 0.51 - reach, 0.51 + reach))
    assert (paired["splits"], paired["replicates"], paired["cells"]) == (1, 3, 6)
    assert one(rows, "C5a")["effect"] == pytest.approx(0.5 / 1.01)
    assert one(rows, "C4", rule="chen2024_rank_two_rate")["effect"] == 0.5
    assert one(rows, "C2", rule="effective_rank")["effect"] == 6
    assert one(rows, "C3", rule="data_floor")["verdict"] == "supported"
    assert one(judge(study(data_floor=0.6)), "C3", rule="data_floor")["verdict"] == "vacuous"
    assert one(rows, "C4", rule="chen2024_rank_two_rate")["verdict"] == "trivial"


def test_ranks_stand_side_by_side_under_every_rule():
    rows = judge(study(seeds=5, rank_numpy=7, rank_energy=lambda mu, s: [1, 2, 2, 2, 4][s], rank_gavish_donoho=None))
    found = {rule: one(rows, "C1", rule=rule)["verdict"] for rule in RANK_RULES}
    assert found.pop("rank_numpy") == "contradicted"
    assert found.pop("rank_energy") == found.pop("rank_gavish_donoho") == "inconclusive"
    assert set(found.values()) == {"supported"}
    # Three whole numbers that agree are no proof that they have no spread.
    assert one(judge(study()), "C1", rule="rank_numpy")["verdict"] == "inconclusive"
    known = len(RANK_RULES) - 1
    assert one(rows, "C1")["note"].startswith(f"{known - 1} of {known} rank rules say at most two")


@pytest.mark.parametrize("failed", ["unfit", "collapsed", "diverged"])
def test_cells_that_failed_support_and_contradict_nothing(failed):
    gone = study(status=lambda mu, s: failed if mu else "ok")
    rows = judge(gone)
    for claim in CLAIMS:
        found = one(rows, claim)
        assert found["verdict"] == "inconclusive", claim
        assert not {name for name in found["rests_on"] if "-0-0-" not in name}, claim
        assert found[failed] == 6
    assert one(judge(study(status=failed)), "C5b")["cells"] == 0


@pytest.mark.parametrize("failed", ["unfit", "collapsed", "diverged"])
def test_one_failed_seed_takes_its_setting_out_and_is_counted(failed):
    rows = judge(
        study(
            status=lambda mu, s: failed if (mu, s) == (0.2, 1) else "ok",
            residual_2=lambda mu, s: {0.0: 0.9, 0.1: 0.5, 0.2: 0.0}[mu],
            vacuity_upper=lambda mu, s: 0.5 if mu == 0.2 else 2.0,
            test_loss=lambda mu, s: {0.0: 1.0, 0.1: 2.0, 0.2: 0.1}[mu],
        )
    )
    assert one(rows, "C1")["effect"] == 0.5
    assert one(rows, "C3")["verdict"] == "inconclusive"
    assert one(rows, "C5a", rule="test_loss any rank")["effect"] == -1
    for claim in CLAIMS:
        found = one(rows, claim)
        assert found[failed] == 1
        assert "toy-16-0-0.2-1" not in found["rests_on"]


def test_one_cell_that_breaks_the_theorem_contradicts_it_over_all_data_sets():
    few = judge(study(residual_1=0.81, seeds=2))
    assert one(few, "C3")["p_contradicted"] == 0 and np.isnan(one(few, "C3")["p_supported"])
    assert one(few, "C3", dataset="overall")["verdict"] == "contradicted"


def test_a_seed_that_failed_without_decay_has_no_pair():
    rows = judge(study(status=lambda mu, s: "diverged" if (mu, s) == (0.0, 1) else "ok", seeds=4))
    for claim in ("C2", "C5a"):
        assert (one(rows, claim)["replicates"], one(rows, claim)["cells"]) == (3, 6)


def test_fewer_than_three_seeds_are_at_most_inconclusive():
    # One net that breaks a bound refutes it, and what cannot be otherwise needs no net.
    cases = [
        cells for claim, verdict, cells in CASES if verdict != "trivial" and (claim, verdict) != ("C3", "contradicted")
    ]
    few = [cells[cells["seed"] < 2].assign(dataset=f"{number}") for number, cells in enumerate(cases[::3])]
    for cells in (pandas.concat(few[:4]), pandas.concat(few[4:])):
        rows = judge(cells)
        rows = rows[rows["rule"] != "chen2024_rank_two_rate"]
        assert set(rows["verdict"]) == {"inconclusive"}
        assert rows[["low", "high"]].isna().all(axis=None)


def test_the_best_decay_is_chosen_by_the_other_seeds():
    """Twenty decays that do nothing: chosen with a seed's own loss, the best of them would look like a gain."""
    random = np.random.default_rng(0)
    decays = [0.0, *np.geomspace(1e-3, 1, 20)]
    gains = []
    for _ in range(20):
        data = DataSet(study(decays=decays, seeds=4, test_loss=lambda mu, s: 10 + random.normal()), KINDS, NO_LAYERS)
        findings = CLAIMS["C5a"].judge(data, LIMITS)
        gains += [finding.effect.value for finding in findings if finding.rule == "test_loss any rank"]
    assert len(gains) == 20
    assert abs(np.mean(gains)) < 0.04


def test_the_bound_of_the_best_decay_has_had_as_many_chances_as_there_are_decays():
    upper = spread(0.8534, 0.9266)
    alone = one(judge(study(decays=(0.0, 0.2), vacuity_upper=upper)), "C3")
    assert alone["verdict"] == "supported" and 0.025 < alone["p_supported"] < 0.05
    best_of_two = one(judge(study(vacuity_upper=lambda mu, s: upper(mu, s) if mu == 0.2 else 4.0)), "C3")
    assert best_of_two["verdict"] == "inconclusive"
    assert best_of_two["p_supported"] == pytest.approx(2 * alone["p_supported"])


def test_a_trivial_data_set_does_not_stand_for_its_task():
    flat = study(dataset="flat", task="regression", inputs=2)
    whole = one(judge(study(), flat), "C2", dataset="overall")
    assert whole["verdict"] == "inconclusive" and "the study has one of them" in whole["note"]
    assert one(judge(study(), flat.assign(inputs=10)), "C2", dataset="overall")["verdict"] == "supported"


def test_of_the_minimisers_rank_the_decay_is_shown_whose_interval_reaches_farthest():
    """Seeds that differ widely about a small mean say less than seeds that agree on a larger one."""
    rows = study(optimum_residual_2=lambda mu, s: near(mu, s) + (spread(0.0, 0.03)(mu, s) if mu == 0.2 else -0.02))
    assert one(judge(rows), "C6")["effect"] == pytest.approx(-0.015)


def test_a_data_set_is_judged_by_its_plain_family_and_the_others_are_shown():
    plain = study()
    noisy = study(label_noise=0.2, decays=(0.0, 0.1, 0.2, 0.4), residual_2=0.5)
    rows = judge(noisy, plain)
    assert one(rows, "C1")["verdict"] == "supported"
    other = one(rows, "C1", family="label noise 0.2", rule="residual_2")
    assert other["verdict"] == "contradicted" and not other["headline"]
    assert one(rows, "C3b")["verdict"] == "contradicted"
    assert one(rows, "C3b")["note"] == "greatest of 2: label noise 0.2"
    assert one(judge(plain), "C3b")["note"] == "one family: nothing varies"
    unknown = noisy.assign(status="unfit")
    partly = one(judge(unknown, plain), "C3b")
    assert (partly["verdict"], partly["note"]) == ("inconclusive", "greatest of 1: the main one; 1 more not judged")
    assert one(judge(noisy), "C1")["verdict"] == "contradicted"
    full = study(batch_size=50, decays=(0.0, 0.1, 0.2, 0.4), residual_2=0.5)
    assert one(judge(full, plain), "C1")["verdict"] == "supported"


def test_a_claim_about_all_data_sets_needs_each_and_a_claim_about_some_needs_one():
    good, bad, thin = study("good"), study("bad", residual_2=0.5), study("thin", seeds=2)
    first = one(judge(good, bad), "C1", dataset="overall")
    assert (first["verdict"], first["effect"]) == ("contradicted", 0.5)
    assert first["note"] == "supported on good; contradicted on bad"
    assert set(first["rests_on"]) == {f"{name}-16-0-0.2-{s}" for name in ("good", "bad") for s in range(3)}
    assert one(judge(good, thin), "C1", dataset="overall")["verdict"] == "inconclusive"
    assert one(judge(good), "C1", dataset="overall")["verdict"] == "supported"
    better, worse = study("better"), study("worse", test_loss=lambda mu, s: 1.5 if mu else 1.0)
    some = one(judge(better, worse), "C5a", dataset="overall")
    assert (some["verdict"], some["note"]) == ("supported", "supported on better; contradicted on worse")
    assert one(judge(worse, worse.assign(dataset="too")), "C5a", dataset="overall")["verdict"] == "contradicted"


def test_a_data_set_that_holm_s_correction_makes_inconclusive_is_named_apart():
    own = pandas.DataFrame(
        {
            "dataset": ["clear", "near", "open"],
            "family": "",
            "verdict": ["supported", "supported", "inconclusive"],
            "p_supported": [0.001, 0.03, 0.4],
            "p_contradicted": [1.0, 1.0, 0.9],
        }
    )
    rows, note = counted(own)
    assert list(rows["verdict"]) == ["supported", "inconclusive", "inconclusive"]
    assert note == "supported on clear; inconclusive on open; inconclusive by Holm's correction on near"
    # Without evidence there is no test, and nothing to correct the others for.
    nothing = own.assign(p_supported=[0.001, 0.03, np.nan], p_contradicted=[1.0, 1.0, np.nan])
    assert list(counted(nothing)[0]["verdict"]) == ["supported", "supported", "inconclusive"]


def test_trivial_data_sets_do_not_count_and_vacuous_ones_do():
    good, two = study("good"), study("two", inputs=2, residual_2=0.5)
    first = one(judge(good, two), "C1", dataset="overall")
    assert (first["verdict"], first["note"]) == ("supported", "supported on good; trivial on two")
    assert one(judge(two), "C1", dataset="overall")["verdict"] == "trivial"
    empty = study("empty", vacuity_lower=1.0, vacuity_upper=4.0)
    assert one(judge(empty), "C3", dataset="overall")["verdict"] == "vacuous"
    mixed = one(judge(good, empty), "C3", dataset="overall")
    assert (mixed["verdict"], mixed["note"]) == ("inconclusive", "supported on good; vacuous on empty")


@pytest.mark.slow
def test_many_data_sets_without_an_effect_rarely_make_a_verdict():
    """Residuals around the threshold on five data sets: some of them count by luck in at most 5 % of studies."""
    random = np.random.default_rng(0)
    found, single = 0, 0
    for _ in range(200):
        own = pandas.DataFrame({"dataset": list("abcde"), "family": "", "verdict": "inconclusive"})
        effects = [effect_of(0.1 + 0.01 * random.standard_normal(5), splits=True) for _ in own.index]
        own["p_supported"] = [effect.below(0.1) for effect in effects]
        own["p_contradicted"] = [effect.above(0.1) for effect in effects]
        single += (own[["p_supported", "p_contradicted"]].min(axis=1) <= 0.05).any()
        found += "supported" in for_all.judge(own)[1] or "contradicted" in for_all.judge(own)[1]
    assert single / 200 > 0.15
    assert found / 200 < 0.09


@pytest.mark.slow
def test_decays_renamed_at_random_make_few_verdicts():
    """Where weight decay is a label without meaning, no comparison of decays says anything."""
    random = np.random.default_rng(0)
    verdicts_found = []
    for _ in range(6):
        parts = []
        for split in range(5):
            loss = {mu: random.lognormal(sigma=0.2) for mu in MANY}
            rank = {mu: random.uniform(0.0, 0.9) for mu in MANY}
            part = study(
                decays=MANY,
                seeds=1,
                split=split,
                test_loss=lambda mu, s, own=loss: own[mu],
                matched_loss_gap=lambda mu, s, own=loss: own[mu],
                residual_2=lambda mu, s, own=rank: own[mu],
            )
            parts.append(part)
        rows = judge(*parts)
        verdicts_found += [one(rows, claim)["verdict"] for claim in ("C2", "C5a", "C5b")]
    share = np.mean([verdict in ("supported", "contradicted") for verdict in verdicts_found])
    assert share <= 0.1


def test_necessity_needs_regression_and_classification():
    assert one(judge(study()), "C2", dataset="overall")["verdict"] == "inconclusive"
    both = judge(study(), study("other", task="regression"))
    assert one(both, "C2", dataset="overall")["verdict"] == "supported"


def test_a_run_named_twice_counts_once():
    rows = study()
    assert one(judge(rows, rows.assign(cell="again")), "C1")["cells"] == 3


def command(name, stage, tmp_path, monkeypatch, cells, *kinds, **options):
    """What a stage makes of rows of gaps.parquet: its table, and its pages by their kind."""
    source = tmp_path / "gaps.parquet"
    files.write_parquet(source, as_table(cells), {"provenance": {"stage": "gaps"}})
    made = {kind: tmp_path / f"made.{kind}" for kind in ("parquet", *kinds)}
    if name == "verdicts":
        options["layers"] = tmp_path / "layers.parquet"
        table = pyarrow.Table.from_pandas(NO_LAYERS, preserve_index=False)
        files.write_parquet(options["layers"], table, {"provenance": {"stage": "layers"}})
    arguments = [f"--gaps={source}", f"--output={made['parquet']}", *(f"--{kind}={made[kind]}" for kind in kinds)]
    monkeypatch.setattr("sys.argv", ["command", *arguments, *(f"--{name}={value}" for name, value in options.items())])
    stage.main()
    return files.read_parquet(made["parquet"], name)[0], *(made[kind].read_text() for kind in kinds)


def test_the_command_writes_rows_markdown_and_latex(tmp_path, monkeypatch):
    cells = pandas.concat([study("a_b", status=lambda mu, s: "unfit" if mu == 0.2 else "ok"), study("other", seeds=2)])
    cells["functional_rank"] = cells["functional_rank"].astype("Int64").where(cells["seed"] > 0)
    cells["rank_gavish_donoho"] = None
    table, markdown, latex, page = command(
        "verdicts", verdicts_stage, tmp_path, monkeypatch, cells, "md", "tex", "html", thresholds='{"low_rank": 0.25}'
    )
    assert table.column_names == list(verdicts.COLUMNS)
    assert table.schema.field("verdict").metadata[b"description"]
    rows = table.to_pylist()
    thin = [row for row in rows if row["dataset"] == "other" and row["claim"] == "C1"]
    assert len(thin) == 1 + len(RANK_RULES)
    assert all(row["low"] is None for row in thin)
    assert rows[0]["rests_on"] == [f"a_b-16-0-0.1-{s}" for s in range(3)]
    assert "below 0.25" in rows[0]["criterion"]
    first = markdown.splitlines()
    assert first[0].split("|")[1].strip() == "claim"
    for claim, line in zip(CLAIMS.values(), first[2 : 2 + len(CLAIMS)], strict=True):
        words = claim.words.replace("|", r"\|")
        assert line.startswith(f"| {claim.id}: {words} ")
    assert "| C1      | a_b        | supported" in markdown
    assert "- a_b: 3 unfit, at weight decay 0.2" in markdown
    rows_of_tables = [line for line in first if line.startswith("|")]
    bars = {line.replace(r"\|", "").count("|") for line in rows_of_tables}
    assert bars <= {4, 6, 7, 8}
    assert r"\toprule" in latex and r"a\_\allowbreak{}b" in latex and r"95 \% interval" in latex
    assert not [line for line in latex.splitlines() if "a_b" in line]
    assert "<td>a_b</td>" in page and "<li>a_b: 3 unfit, at weight decay 0.2</li>" in page
    origin = f"From {gaps.origin(gaps.read('gaps', tmp_path / 'gaps.parquet'))}."
    assert origin in markdown and origin in latex and origin in page


NETS = """
from ranktwo.evidence.claims.judging import Combination, Finding, claim
from ranktwo.evidence.effects import Effect

ALWAYS = Combination(lambda own: ("supported", f"{len(own)} data sets"), "Always supported.")


@claim("C10", words="nets are nets", objection="none", combine=ALWAYS)
def nets(data, limits):
    effect = Effect.of(data.rows.set_index(["split", "seed"])["norm"])
    facts = {"rule": "norm", "effect_name": "norm", "threshold": 1, "criterion": "Supported if above 1."}
    facts |= {"cells": [], "looked_at": data.rows}
    yield Finding(effect=effect, support=effect.above(1), against=1.0, **facts)
"""
ASKED = """
import json, sys
from pathlib import Path
import pandas
from ranktwo.evidence import gaps, verdicts
from ranktwo.study.limits import Limits
from ranktwo.report import numbers, pages
from ranktwo.report.verdicts import page

cells = gaps.read_cells(Path(sys.argv[1]))
rows = verdicts.verdicts(cells, pandas.DataFrame({name: [] for name in sys.argv[2:]}), Limits())
macros = [macro[:2] for macro in numbers.macros(rows, cells.rows)]
found = {"claims": list(verdicts.claims()), "rows": rows[["claim", "dataset", "verdict", "note"]].to_dict("records")}
found |= {"page": pages.to_markdown("", *page(rows, cells.rows)), "macros": macros}
print(json.dumps(found | {"torch": "torch" in sys.modules}))
"""


def test_a_new_claim_is_one_file(tmp_path):
    shutil.copytree(registry.PACKAGE, tmp_path / "ranktwo", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "ranktwo" / "evidence" / "claims" / "nets.py").write_text(NETS)
    path = tmp_path / "gaps.parquet"
    files.write_parquet(path, as_table(study()), {"provenance": {"stage": "gaps"}})
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", ASKED, str(path), *NO_LAYERS]
    found = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert found["claims"] == [*CLAIMS, "C10"]
    last = {"claim": "C10", "verdict": "supported"}
    assert [row for row in found["rows"] if row["claim"] == "C10"] == [
        last | {"dataset": "toy", "note": ""},
        last | {"dataset": "overall", "note": "1 data sets"},
    ]
    assert "C10: nets are nets" in found["page"]
    assert ["rtVerdictCOneZero", "supported"] in found["macros"]
    assert not found["torch"]


def test_a_column_that_is_declared_a_bound_is_judged_and_scored():
    vacuous = study(**dict.fromkeys(EXPLICIT, 5.0))
    assert one(judge(vacuous), "C4")["note"].startswith("0 of 3 explicit bounds are at most 1, the least 5;")
    more = vacuous.assign(new_bound=0.5)
    assert one(judge(more), "C4")["verdict"] == "vacuous"
    found = one(judge(more, kinds=KINDS | {"new_bound": "bound"}), "C4")
    assert found["verdict"] == "inconclusive"
    assert found["note"].startswith("1 of 4 explicit bounds are at most 1, the least 0.5;")
    assert one(judge(more, kinds=KINDS | {"new_bound": "rate"}), "C4")["verdict"] == "vacuous"
    measures = predictors.measures_of(Cells(more, KINDS | {"new_bound": "bound"}))
    assert measures == [*(name for name, kind in KINDS.items() if kind != "rank"), "new_bound", *predictors.RANKS]


def test_a_column_that_is_declared_a_rank_is_a_rule():
    rows = judge(study(rank_new=7), kinds=KINDS | {"rank_new": "rank"})
    assert one(rows, "C1", rule="rank_new")["verdict"] == "contradicted"
    assert set(rows.loc[rows["claim"] == "C1", "rule"]) == {"residual_2", *RANK_RULES, "rank_new"}


def test_every_column_is_documented():
    assert list(judge(study())) == list(verdicts.COLUMNS)
    assert all(column.meaning for column in (verdicts.COLUMNS | predictors.COLUMNS).values())


def test_predictors_are_scored_by_data_set_and_over_all(tmp_path, monkeypatch):
    cells = pandas.concat([by_rank(1), by_rank(-1).assign(dataset="other"), study("third", status="unfit")])
    table, csv, markdown, latex, page = command(
        "predictors", predictors_stage, tmp_path, monkeypatch, cells, "csv", "md", "tex", "html"
    )
    assert table.column_names == list(predictors.COLUMNS)
    scored = table.to_pandas().set_index(["dataset", "measure", "statistic", "axis"])
    assert {"overall", "toy", "other", "third", "between data sets"} == set(scored.index.get_level_values("dataset"))
    tau = scored.xs((float("nan"), "effective_rank", "tau_fixed_control"), level=("axis", "measure", "statistic"))
    assert tau.loc["toy", "value"] == 1 and tau.loc["other", "value"] == -1
    assert tau.loc["overall", "cells"] == 144 and tau.loc["third", "cells"] == 0
    assert len(csv.splitlines()) == table.num_rows + 1
    lines = [line for line in markdown.splitlines() if line.startswith("|")][2:]
    assert "<td>effective_rank</td>" in page
    assert len(lines) == len(predictors.measures_of(Cells(cells, KINDS)))
    assert "[-1, 1]" in next(line for line in lines if line.startswith("| effective_rank"))
    assert r"effective\_\allowbreak{}rank" in latex
    strengths = [abs(float(cell)) for cell in (line.split("|")[3].split()[0] for line in lines) if cell != "-"]
    assert strengths == sorted(strengths, reverse=True) and len(strengths) > 1


def test_predictors_never_compare_nets_of_two_architectures(tmp_path, monkeypatch):
    rising = by_rank(1)
    falling = by_rank(-1).assign(activation="gelu", cell=rising["cell"] + "-gelu")
    table, _, markdown, latex, page = command(
        "predictors",
        predictors_stage,
        tmp_path,
        monkeypatch,
        pandas.concat([falling, rising]),
        "csv",
        "md",
        "tex",
        "html",
    )
    rows = table.to_pandas()
    ranks = rows[(rows["measure"] == "effective_rank") & (rows["statistic"] == "tau_fixed_control")]
    found = {tuple(key): value for *key, value in ranks[["architecture", "dataset", "value"]].itertuples(index=False)}
    signs = {"mlp": 1, "mlp, gelu": -1}
    assert {key: found[key] for key in itertools.product(signs, ("toy", "overall"))} == {
        (name, dataset): sign for name, sign in signs.items() for dataset in ("toy", "overall")
    }
    assert "activation" not in set(rows["axis"])
    alone = command("predictors", predictors_stage, tmp_path, monkeypatch, rising, "csv", "md", "tex", "html")[0]
    pandas.testing.assert_frame_equal(alone.to_pandas(), rows[rows["architecture"] == "mlp"].reset_index(drop=True))
    lines = [line.split("|")[1].strip() for line in markdown.splitlines() if line.startswith("|")][2:]
    assert lines == sorted(lines) and set(lines) == set(signs)
    assert "<td>mlp, gelu</td>" in page
    assert latex.count("tabularx}{") == 2 and "measure, of mlp, gelu &" in latex and "architecture" not in latex
