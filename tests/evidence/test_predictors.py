"""Rank statistics against brute force from their definitions, on planted cases, and their intervals."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, rankdata, spearmanr

from ranktwo.errors import UserError
from ranktwo.evidence import concordance, predictors
from ranktwo.evidence.concordance import Design

DECAYS = [0.0, *np.logspace(-4, -1, 4)]
AXES = ["dataset", "batch_size", "weight_decay"]


def grid(seeds=3, decays=DECAYS, datasets=("a", "b"), batches=(4, 16)):
    rows = itertools.product(datasets, batches, decays, range(seeds))
    return pd.DataFrame(rows, columns=[*AXES, "seed"]).assign(split=0)


def noisy_table(seed=0, **shape):
    """Integers, so that there are ties, in shuffled order, with holes in measure and gap."""
    generator = np.random.default_rng(seed)
    table = grid(**shape).sample(frac=1, random_state=seed, ignore_index=True)
    table["gap"] = generator.integers(0, 12, len(table)).astype(float)
    table["m"] = table["gap"] + generator.integers(0, 9, len(table))
    table.loc[[3, 17], "m"] = np.nan
    table.loc[[5], "gap"] = np.inf
    return table


def scores(table, measures, axes, **options):
    """Rows of all scores, as a table."""
    table = table.assign(split=table.get("split", 0))
    return pd.DataFrame(
        [row for one in predictors.score(table, measures, "gap", axes, **options) for row in one.rows()]
    )


def statistics(table, measures=("m",), **options):
    scored = scores(table, list(measures), AXES, **({"resamples": 50} | options))
    return {(r.measure, r.statistic, None if pd.isna(r.axis) else r.axis): r for r in scored.itertuples()}


def value(found, statistic, axis=None, measure="m"):
    return found[measure, statistic, axis].value


def used(table):
    return table[np.isfinite(table["m"]) & np.isfinite(table["gap"])].to_dict("records")


def sign_product(one, other):
    return np.sign(one["m"] - other["m"]) * np.sign(one["gap"] - other["gap"])


def differing(one, other, columns=AXES):
    return [column for column in columns if one[column] != other[column]]


# Brute force, from the definitions


def brute_tau(cells, pairs=lambda one, other: True):
    products = [sign_product(a, b) for a in cells for b in cells if a is not b and pairs(a, b)]
    return sum(products) / len(products) if products else math.nan


def brute_psi(cells, axis):
    held = [*(a for a in AXES if a != axis), "seed"]
    groups = {}
    for cell in cells:
        groups.setdefault(tuple(cell[h] for h in held), []).append(cell)
    taus = [brute_tau(group) for group in groups.values() if len(group) > 1]
    return np.mean(taus)


def brute_errors(cells, axis, min_pairs=5):
    environments = {}
    for one, other in itertools.combinations(cells, 2):
        if differing(one, other) == [axis]:
            key = frozenset(tuple(cell[a] for a in AXES) for cell in (one, other))
            environments.setdefault(key, []).append((1 - sign_product(one, other)) / 2)
    return [np.mean(errors) for errors in environments.values() if len(errors) >= min_pairs]


@pytest.mark.parametrize("seed", range(3))
def test_every_statistic_against_brute_force(seed):
    table = noisy_table(seed)
    cells, found = used(table), statistics(table)
    assert value(found, "tau") == pytest.approx(brute_tau(cells))
    fixed = brute_tau(cells, lambda a, b: a["weight_decay"] == b["weight_decay"] and differing(a, b))
    assert value(found, "tau_fixed_control") == pytest.approx(fixed)
    psis, errors = [], []
    for axis in AXES:
        psis.append(brute_psi(cells, axis))
        errors.append(brute_errors(cells, axis))
        assert value(found, "psi", axis) == pytest.approx(psis[-1])
        assert value(found, "sign_error", axis) == pytest.approx(np.mean(errors[-1]))
        assert value(found, "robust_sign_error", axis) == pytest.approx(max(errors[-1]))
    assert value(found, "psi") == pytest.approx(np.mean(psis))
    assert value(found, "sign_error") == pytest.approx(np.mean(sum(errors, [])))
    assert value(found, "robust_sign_error") == pytest.approx(max(sum(errors, [])))


def test_an_environment_needs_enough_pairs():
    table = noisy_table()
    cells = used(table)
    errors = sum((brute_errors(cells, axis, min_pairs=9) for axis in AXES), [])
    assert 0 < len(errors) < len(sum((brute_errors(cells, axis) for axis in AXES), []))
    assert value(statistics(table, min_pairs=9), "robust_sign_error") == pytest.approx(max(errors))
    assert math.isnan(value(statistics(table, min_pairs=10), "robust_sign_error"))


def test_partial_spearman_is_the_correlation_of_rank_residuals():
    table = noisy_table()
    kept = pd.DataFrame(used(table)).query("weight_decay > 0")
    ranks = {name: rankdata(kept[name]) for name in ("m", "gap", "weight_decay")}
    design = np.column_stack([np.ones(len(kept)), ranks["weight_decay"]])

    def residual(y):
        return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]

    expected = np.corrcoef(residual(ranks["m"]), residual(ranks["gap"]))[0, 1]
    found = statistics(table)
    assert value(found, "partial_spearman") == pytest.approx(expected)
    # and of three Spearman correlations
    mg = spearmanr(kept["m"], kept["gap"])[0]
    mc, gc = (spearmanr(kept[name], kept["weight_decay"])[0] for name in ("m", "gap"))
    assert expected == pytest.approx((mg - mc * gc) / math.sqrt((1 - mc**2) * (1 - gc**2)))


def test_tau_is_scipys_without_ties_and_not_with_them():
    table = grid()
    generator = np.random.default_rng(1)
    table["gap"], table["m"] = generator.normal(size=(2, len(table)))
    assert value(statistics(table), "tau") == pytest.approx(kendalltau(table["m"], table["gap"])[0])
    # Ties: (1,1), (1,2), (2,3) has sign products 0, 1, 1 over 3 pairs; tau-b would be 2/sqrt(2 * 3).
    tied = pd.DataFrame({"weight_decay": [1.0, 2.0, 3.0], "seed": 0, "m": [1.0, 1.0, 2.0], "gap": [1.0, 2.0, 3.0]})
    scored = scores(tied, ["m"], ["weight_decay"])
    found = scored.set_index("statistic")["value"]
    assert found["tau"] == pytest.approx(2 / 3)
    assert found["psi"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert kendalltau(tied["m"], tied["gap"])[0] == pytest.approx(2 / math.sqrt(6))


def test_a_tie_is_half_an_error():
    table = pd.DataFrame({"weight_decay": [1.0, 2.0], "seed": 0, "m": [1.0, 1.0], "gap": [1.0, 2.0]})
    table = pd.concat([table.assign(dataset=name) for name in "ab"])
    table.loc[table["dataset"] == "b", "m"] = [3.0, 4.0]
    scored = scores(table, ["m"], ["dataset", "weight_decay"], min_pairs=1)
    errors = scored[(scored["axis"] == "weight_decay")].set_index("statistic")["value"]
    assert errors["sign_error"] == pytest.approx((0.5 + 0) / 2)
    assert errors["robust_sign_error"] == 0.5


# Planted cases


def test_the_gap_itself_predicts_perfectly():
    table = noisy_table()
    table["gap"] = np.random.default_rng(2).normal(size=len(table))
    table["m"] = np.exp(table["gap"])
    found = statistics(table)
    for statistic in ("tau", "tau_fixed_control", "psi", "partial_spearman"):
        assert value(found, statistic) == pytest.approx(1)
    assert value(found, "robust_sign_error") == 0
    table["m"] = -table["m"]
    found = statistics(table)
    assert value(found, "tau") == value(found, "psi") == -1
    assert value(found, "sign_error") == 1


def test_a_measure_of_the_control_alone_says_nothing_once_it_is_known():
    table = grid(seeds=5)
    generator = np.random.default_rng(3)
    table["gap"] = -np.log10(table["weight_decay"] + 1e-5) + 0.3 * generator.normal(size=len(table))
    table["m"] = np.exp(-table["weight_decay"] * 20)
    table["near"] = table["m"] + 1e-3 * generator.normal(size=len(table))
    found = statistics(table, ("m", "near"))
    assert value(found, "tau") > 0.6
    assert math.isnan(value(found, "partial_spearman"))
    assert value(found, "tau_fixed_control") == 0
    assert value(found, "psi", "weight_decay") > 0.6 and value(found, "psi", "dataset") == 0
    assert value(found, "tau", measure="near") > 0.6
    assert abs(value(found, "partial_spearman", measure="near")) < 0.25
    assert abs(value(found, "tau_fixed_control", measure="near")) < 0.2


@pytest.mark.parametrize("count", range(5, 30))
def test_rounding_never_makes_a_partial_correlation_of_the_control_with_itself(count):
    generator = np.random.default_rng(count)
    table = pd.DataFrame({"cell": range(count), "seed": 0, "weight_decay": generator.integers(1, 6, count)})
    table["gap"], table["m"] = generator.normal(size=count), np.exp(-table["weight_decay"])
    scored = scores(table, ["m"], ["cell"]).set_index("statistic")
    assert math.isnan(scored.loc["partial_spearman", "value"])


def test_simpsons_paradox_shows_in_psi_and_not_in_tau():
    # Within a data set the measure orders the gap backwards; between data sets it orders it well.
    table = grid(datasets=("a", "b", "c", "d"), batches=(4,), decays=[0.1, 0.2, 0.3])
    level = table["dataset"].map({"a": 0, "b": 10, "c": 20, "d": 30})
    table["gap"] = level + 10 * table["weight_decay"] + 0.01 * table["seed"]
    table["m"] = level - 10 * table["weight_decay"] - 0.01 * table["seed"]
    found = statistics(table)
    assert value(found, "tau") > 0.5
    assert value(found, "psi", "weight_decay") == -1
    assert value(found, "psi", "dataset") == 1
    assert math.isnan(value(found, "psi", "batch_size"))  # an axis of one value orders nothing
    assert value(found, "psi") == 0
    assert value(found, "robust_sign_error") == 1


def test_constant_measure_is_null():
    table = noisy_table()
    table["m"] = 3.0
    assert all(math.isnan(row.value) and math.isnan(row.low) for row in statistics(table).values())
    table = noisy_table()
    table["gap"] = 0.0
    assert all(math.isnan(row.value) for row in statistics(table).values())


def test_excluded_cells_are_counted():
    table = noisy_table()
    found = statistics(table)
    for (_, statistic, _), row in found.items():
        excluded = 3 + (used_zero_decays(table) if statistic == "partial_spearman" else 0)
        assert (row.cells, row.excluded, row.replicates) == (len(table) - excluded, excluded, 3), statistic
    table["m"] = np.nan
    assert {(row.cells, row.excluded, row.replicates) for row in statistics(table).values()} == {(0, len(table), 0)}
    assert all(math.isnan(row.value) for row in statistics(table).values())


def used_zero_decays(table):
    return sum(cell["weight_decay"] == 0 for cell in used(table))


def test_cells_that_cannot_be_told_apart_are_refused():
    table = noisy_table()
    with pytest.raises(UserError, match="name every axis"):
        scores(table, ["m"], ["dataset", "weight_decay"])


# Intervals


def test_resampled_values_are_those_of_the_repeated_table():
    """A draw of seeds by weights equals the statistic of a table in which the drawn seeds' cells are repeated."""
    table = noisy_table()
    cells = used(table)
    seeds = np.array([cell["seed"] for cell in cells])
    draws = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]])
    mu, gap, control = (np.array([cell[name] for cell in cells]) for name in ("m", "gap", "weight_decay"))
    places = np.column_stack([np.unique([c[a] for c in cells], return_inverse=True)[1] for a in AXES])
    found = Design(gap, control, places, seeds, draws.astype(float), AXES, min_pairs=5).of_pairs(mu)
    other = Design(gap, control + 1, places, seeds, draws.astype(float), AXES, min_pairs=5)
    partial = other.partial_spearman(mu)["partial_spearman", None]
    for row, drawn in enumerate(draws):
        copies = [(i, copy) for i, seed in enumerate(seeds) for copy in range(drawn[seed])]
        products = [sign_product(cells[i], cells[j]) for (i, _), (j, _) in itertools.combinations(copies, 2) if i != j]
        assert found["tau", None][row] == pytest.approx(np.mean(products))
        groups = {}
        for i, copy in copies:
            cell = cells[i]
            groups.setdefault((cell["dataset"], cell["batch_size"], cell["seed"], copy), []).append(cell)
        taus = [brute_tau(group) for group in groups.values() if len(group) > 1]
        assert found["psi", "weight_decay"][row] == pytest.approx(np.mean(taus))
        repeated = [i for i, _ in copies]
        m, g, c = (rankdata(values[repeated]) for values in (mu, gap, control))
        r = np.corrcoef([m, g, c])
        expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
        assert partial[row] == pytest.approx(expected)


def test_intervals_need_three_seeds():
    generator = np.random.default_rng(4)
    for seeds in (1, 2, 3):
        table = grid(seeds=seeds)
        table["gap"], table["m"] = generator.normal(size=(2, len(table)))
        for (_, statistic, _), row in statistics(table, min_pairs=1).items():
            assert row.replicates == seeds
            assert np.isfinite(row.value), statistic
            assert np.isfinite([row.low, row.high]).all() == (seeds == 3), statistic
            assert not row.low > row.high


@pytest.mark.slow
def test_interval_covers_the_truth():
    # The truth is psi over infinitely many seeds; every seed has its own strength of the measure.
    def table(generator, seeds):
        cells = grid(seeds=seeds, datasets=("a",), batches=(4,), decays=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        strength = generator.normal(0.5, 1, seeds)[cells["seed"]]
        cells["m"] = generator.normal(size=len(cells))
        cells["gap"] = strength * cells["m"] + generator.normal(size=len(cells))
        return cells

    def psi(cells, resamples):
        scored = scores(cells, ["m"], AXES, resamples=resamples)
        return scored[(scored["statistic"] == "psi") & (scored["axis"] == "weight_decay")].iloc[0]

    truth = np.mean([psi(table(np.random.default_rng(1000 + k), 100), 1)["value"] for k in range(20)])
    repeats = [psi(table(np.random.default_rng(k), 20), 300) for k in range(150)]
    covered = np.mean([row["low"] <= truth <= row["high"] for row in repeats])
    assert 0.88 <= covered <= 0.99
    narrower = [row["high"] - row["low"] for row in repeats]
    assert np.mean(narrower) < 2 * 3 * np.std([row["value"] for row in repeats])


def test_same_random_seed_same_interval_whatever_else_is_scored():
    table = noisy_table()
    table["other"] = table["m"] ** 2
    alone, together = statistics(table), statistics(table, ("other", "m"))
    for key, row in alone.items():
        assert str(together[key][1:]) == str(row[1:])


def test_each_distinct_resample_is_computed_once(monkeypatch):
    """A thousand resamples of three seeds are ten, and as many as there are of twenty."""
    counted = []
    original = Design.of_pairs

    def counting(design, measure):
        counted.append(len(design.draws))
        return original(design, measure)

    monkeypatch.setattr(Design, "of_pairs", counting)
    for seeds in (3, 20):
        table = grid(seeds=seeds, datasets=("a",), batches=(4,), decays=[0.1, 0.2])
        table[["gap", "m", "n"]] = np.random.default_rng(5).normal(size=(len(table), 3))
        table["as n"] = np.exp(table["n"])
        found = scores(table, ["m", "n", "as n"], AXES, resamples=1000)
    assert counted == [10, 10, 1001, 1001], "a measure that orders the cells as another does is that one"
    same = [found[found["measure"] == name].drop(columns="measure").reset_index(drop=True) for name in ("n", "as n")]
    pd.testing.assert_frame_equal(*same, check_exact=True)


@pytest.mark.parametrize("limit", ["ELEMENTS", "CACHED"])
def test_sums_in_many_parts_are_those_in_one(monkeypatch, limit):
    table = noisy_table()
    whole = statistics(table)
    monkeypatch.setattr(concordance, limit, 7)
    for key, row in statistics(table).items():
        numbers = [(one.value, one.low, one.high) for one in (row, whole[key])]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-12, nan_ok=True)


def test_sums_too_great_for_float32_are_exact():
    cells, replicates = 60, 6
    mu = np.arange(cells, dtype=float)
    places, owner = np.arange(cells)[:, None] // replicates, np.arange(cells) % replicates
    draws = np.full((1, replicates), 4097.0)
    found = Design(mu**2, mu, places, owner, draws, ["m"], 1).of_pairs(mu)
    assert found["tau", None] == pytest.approx([1], abs=1e-15)


def test_splits_are_drawn_and_inside_them_their_seeds():
    places = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)]
    cells = pd.DataFrame(places, columns=["split", "seed"])
    replicates, draws = predictors._draws(cells, 4000, 0)
    assert list(replicates) == [0, 1, 2, 3, 4, 5]
    assert (draws[0] == 1).all()
    groups = [[0, 1, 2], [3], [4, 5]]
    splits = np.stack([draws[1:, group].sum(1) / len(group) for group in groups], axis=1)
    assert (splits == splits.round()).all() and (splits.sum(1) == 3).all()
    assert splits.mean(0) == pytest.approx([1, 1, 1], abs=0.05)
    # Given that a split was drawn k times, its n seeds share k n draws.
    once = draws[1:][splits[:, 0] == 1][:, :3]
    assert once.var(0) == pytest.approx([3 * (1 / 3) * (2 / 3)] * 3, abs=0.06)
    assert len(predictors._draws(cells.iloc[:2], 10, 0)[1]) == 1


def test_over_data_sets_a_statistic_is_the_mean_of_each_and_their_draws_are_independent():
    one, other = noisy_table(0, datasets=("a",)), noisy_table(1, datasets=("b",))
    parts = [predictors.score(part, ["m"], "gap", AXES, random_seed=(0, i)) for i, part in enumerate((one, other))]
    combined = predictors.combine([scores[0] for scores in parts])
    for key in [("tau", None), ("tau_fixed_control", None), ("psi", None)]:
        samples = [scores[0].samples[key] for scores in parts]
        assert combined.samples[key] == pytest.approx((samples[0] + samples[1]) / 2)
    worst = [scores[0].samples["robust_sign_error", None][0] for scores in parts]
    assert combined.samples["robust_sign_error", None][0] == max(worst)
    assert combined.cells == sum(scores[0].cells for scores in parts)
    draws = [predictors._draws(part, 50, (0, i))[1] for i, part in enumerate((one, other))]
    assert not np.array_equal(*draws)
    null = predictors.combine([predictors.score(one.assign(m=3.0), ["m"], "gap", AXES)[0]])
    assert math.isnan(null.rows()[0]["value"])


def test_pairs_between_data_sets_are_of_one_task_and_stand_apart():
    parts = [noisy_table(i, datasets=(name,)).assign(task="binary") for i, name in enumerate("abc")]
    parts[2]["task"] = "regression"
    parts = [part.assign(matched_loss_gap=part["gap"]) for part in parts]
    [found] = predictors.between(parts, ["m"], resamples=20)
    first, second = used(parts[0]), used(parts[1])
    expected = np.mean([sign_product(a, b) for a in first for b in second])
    assert found.samples["tau", None][0] == pytest.approx(expected)
    assert found.cells == len(first) + len(second)
    assert math.isnan(predictors.between(parts[1:], ["m"])[0].rows()[0]["value"])


def test_nets_that_differ_in_the_seed_alone_say_nothing_at_fixed_decay():
    table = grid(datasets=("a",), batches=(4,))
    table["gap"], table["m"] = np.random.default_rng(0).normal(size=(2, len(table)))
    found = statistics(table)
    assert math.isnan(value(found, "tau_fixed_control")) and not math.isnan(value(found, "tau"))
