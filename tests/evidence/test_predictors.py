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
    scored = scores(table, list(measures), AXES, **options)
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
            known = seeds == 3 and statistic != "robust_sign_error"
            assert np.isfinite([row.low, row.high]).all() == known, statistic
            assert not row.low > row.high


def test_an_interval_is_the_jackknife_of_its_definition():
    """Splits are left out with all their seeds; of one split the seeds are."""
    t = {3: 4.302652729911275, 4: 3.182446305284263}
    table = grid(seeds=6)
    table["gap"], table["m"] = np.random.default_rng(3).normal(size=(2, len(table)))
    by_split = table.assign(split=table["seed"] // 2, seed=table["seed"] % 2)
    near, few = by_split.assign(m=table["gap"] + 0.02 * table["m"]), table[table["seed"] < 4]
    for cells, unit, count in ((by_split, "split", 3), (near, "split", 3), (few, "seed", 4)):
        found = statistics(cells)
        without = [statistics(cells[cells[unit] != k]) for k in range(count)]
        for key, row in found.items():
            if key[1] == "robust_sign_error":
                continue
            values = np.array([one[key].value for one in without])
            if np.ptp(values) < 1e-12:
                assert math.isnan(row.low) and math.isnan(row.high)
                continue
            reach = t[count] * math.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum())
            least = 0 if key[1] == "sign_error" else -1
            expected = (max(row.value - reach, least), min(row.value + reach, 1))
            assert (row.low, row.high) == pytest.approx(expected, rel=1e-9), key
    assert any(row.high == 1 for row in statistics(near).values())


def test_a_statistic_that_every_split_leaves_the_same_has_no_interval():
    table = grid(seeds=5)
    table["gap"] = table["m"] = np.random.default_rng(2).normal(size=len(table))
    row = statistics(table)["m", "tau", None]
    assert row.value == 1 and math.isnan(row.low) and math.isnan(row.high)
    # It adds no variance to a mean, which has an interval where another data set has one.
    other = table.assign(m=np.random.default_rng(3).normal(size=len(table)))
    parts = [predictors.score(part, ["m"], "gap", AXES)[0] for part in (table, other)]
    mean, alone = predictors.combine(parts).estimates["tau", None], parts[1].estimates["tau", None]
    assert mean.variance == pytest.approx(alone.variance / 4) and mean.freedom == pytest.approx(4)


@pytest.mark.slow
@pytest.mark.parametrize("splits", [3, 5])
def test_intervals_cover_the_truth(splits):
    """The truth is of very many splits; every split has its own strength of the measure, and its own level."""
    level = np.random.default_rng(0).normal(size=(2, 6))

    def table(generator, splits):
        cells = grid(seeds=splits, datasets=("a",), decays=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        cells = cells.rename(columns={"seed": "split", "split": "seed"})
        strength, shift = generator.normal(0.6, 0.8, splits), 0.3 * generator.normal(size=splits)
        place = cells["batch_size"].map({4: 0, 16: 1}), cells["weight_decay"].astype(int) - 1
        cells["m"] = level[place] + 0.5 * generator.normal(size=len(cells))
        cells["gap"] = strength[cells["split"]] * cells["m"] + shift[cells["split"]] + generator.normal(size=len(cells))
        return cells

    names = ("tau", "tau_fixed_control", "psi", "sign_error", "partial_spearman")
    many = [statistics(table(np.random.default_rng(1000 + k), 150)) for k in range(6)]
    few = [statistics(table(np.random.default_rng(k), splits)) for k in range(200)]
    for name in names:
        truth = np.mean([value(found, name) for found in many])
        rows = [found["m", name, None] for found in few]
        covered = np.mean([row.low <= truth <= row.high for row in rows if np.isfinite(row.low)])
        assert 0.85 <= covered <= 0.98, name


def test_a_measure_that_orders_the_cells_as_another_does_is_that_one(monkeypatch):
    counted = []
    original = Design.of_pairs

    def counting(design, measure):
        counted.append(len(design.draws))
        return original(design, measure)

    monkeypatch.setattr(Design, "of_pairs", counting)
    table = grid(seeds=20, datasets=("a",), batches=(4,), decays=[0.1, 0.2])
    table[["gap", "m", "n"]] = np.random.default_rng(5).normal(size=(len(table), 3))
    table["as n"] = np.exp(table["n"])
    found = scores(table, ["m", "n", "as n"], AXES)
    assert counted == [21, 21]
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


def test_over_data_sets_a_statistic_is_the_mean_of_those_in_which_it_is_defined():
    tables = [noisy_table(i, datasets=(name,), seeds=4 + i) for i, name in enumerate("abc")]
    tables[2]["m"] = 3.0
    parts = [predictors.score(part, ["m"], "gap", AXES)[0] for part in tables]
    combined = predictors.combine(parts)
    for key in [("tau", None), ("tau_fixed_control", None), ("psi", None)]:
        one, other, null = (part.estimates[key] for part in parts)
        mean = combined.estimates[key]
        assert math.isnan(null.value)
        assert mean.value == pytest.approx((one.value + other.value) / 2)
        assert mean.variance == pytest.approx((one.variance + other.variance) / 4)
        # Satterthwaite's: as of a variance of both, each with its own degrees of freedom.
        shares = [estimate.variance**2 / (4 + i - 1) for i, estimate in enumerate((one, other))]
        assert mean.freedom == pytest.approx((one.variance + other.variance) ** 2 / sum(shares))
        assert (mean.datasets, mean.cells, mean.replicates) == (2, one.cells + other.cells, 4)
    worst = [part.estimates["robust_sign_error", None].value for part in parts[:2]]
    assert combined.estimates["robust_sign_error", None].value == max(worst)
    nowhere = predictors.combine([predictors.score(tables[2], ["m"], "gap", AXES)[0]]).rows()[0]
    assert math.isnan(nowhere["value"]) and (nowhere["datasets"], nowhere["cells"]) == (0, parts[2].rows()[0]["cells"])


def test_pairs_between_data_sets_are_of_one_task_and_stand_apart():
    parts = [noisy_table(i, datasets=(name,), seeds=3 + i).assign(task="binary") for i, name in enumerate("abc")]
    parts[2]["task"] = "regression"
    parts = [part.assign(matched_loss_gap=part["gap"]) for part in parts]
    [found] = predictors.between(parts, ["m"])
    estimate = found.estimates["tau", None]

    def tau(first, second):
        return np.mean([sign_product(a, b) for a in used(first) for b in used(second)])

    assert estimate.value == pytest.approx(tau(*parts[:2]))
    assert (estimate.datasets, estimate.cells) == (2, sum(len(used(part)) for part in parts[:2]))
    terms = []
    for place, count in ((0, 3), (1, 4)):
        own = [
            [part[part["seed"] != k] if i == place else part for i, part in enumerate(parts[:2])] for k in range(count)
        ]
        without = np.array([tau(*pair) for pair in own])
        terms.append(((count - 1) * without.var(), count - 1))
    variance = terms[0][0] + terms[1][0]
    assert estimate.variance == pytest.approx(variance)
    assert estimate.freedom == pytest.approx(variance**2 / sum(term**2 / freedom for term, freedom in terms))
    assert math.isnan(predictors.between(parts[1:], ["m"])[0].rows()[0]["value"])


def test_nets_that_differ_in_the_seed_alone_say_nothing_at_fixed_decay():
    table = grid(datasets=("a",), batches=(4,))
    table["gap"], table["m"] = np.random.default_rng(0).normal(size=(2, len(table)))
    found = statistics(table)
    assert math.isnan(value(found, "tau_fixed_control")) and not math.isnan(value(found, "tau"))
