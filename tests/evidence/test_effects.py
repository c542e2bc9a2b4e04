"""Effects against scipy's tests, their coverage over splits and seeds, and Holm's correction against its definition."""

import itertools

import numpy as np
import pandas
import pytest
import scipy.stats
from evidence.made_up import effect_of

from ranktwo.evidence.effects import Effect, every, holm, some


def by_place(values):
    """A series by (split, seed) from a dict."""
    return pandas.Series(list(values.values()), pandas.MultiIndex.from_tuples(values, names=["split", "seed"]))


def test_an_effect_of_splits_is_the_t_interval_of_their_means():
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (2, 0): 4.0, (2, 1): np.nan}
    found = Effect.of(by_place(values))
    means = [2.0, 5.0, 4.0]
    low, high = scipy.stats.t.interval(0.95, 2, np.mean(means), scipy.stats.sem(means))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(means), low, high))
    assert (found.splits, found.replicates) == (3, 4)
    for threshold in (1.0, 3.0, 6.0):
        expected = scipy.stats.ttest_1samp(means, threshold).pvalue
        assert found.below(threshold) == pytest.approx(expected if np.mean(means) < threshold else 1)
        assert found.above(threshold) == pytest.approx(expected if np.mean(means) > threshold else 1)


def test_an_interval_on_one_side_is_a_p_value_of_five_per_cent():
    found = effect_of([1.0, 2.0, 4.0])
    assert found.below(found.high) == pytest.approx(0.05) == found.above(found.low)


def test_seeds_take_the_place_of_one_split_and_two_splits_have_no_interval():
    assert effect_of([1.0, 2.0, 3.0]).known
    few = Effect.of(by_place({(0, 0): 1.0, (0, 1): 1.1, (0, 2): 1.2, (1, 0): 5.0}))
    assert not few.known and few.value == pytest.approx((1.1 + 5.0) / 2)
    assert (few.below(9.0), few.above(0.0)) == (1, 1)
    assert not Effect.of(by_place({(0, 0): np.nan})).known


def test_values_that_agree_exactly_are_certain_unless_chance_says_otherwise():
    same = effect_of([1.0, 1.0, 1.0])
    assert (same.below(2.0), same.above(2.0), same.below(1.0), same.above(1.0)) == (0, 1, 1, 1)
    places = by_place({(0, seed): 1.0 for seed in range(3)})
    tossed = Effect.of(places, spread=1.0)
    assert tossed.above(0.2) > 0.05
    assert Effect.of(by_place({(split, 0): 1.0 for split in range(5)}), spread=0.4).above(0.2) < 0.05


def test_intervals_cover_where_splits_and_seeds_vary():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        values = {}
        for split in range(5):
            level = random.standard_normal()
            for seed in range(3 if split == 0 else 1):
                values[split, seed] = level + 0.5 * random.standard_normal()
        found = Effect.of(by_place(values))
        hits += found.low <= 0 <= found.high
    assert 0.93 < hits / 1000 < 0.97


def test_holm_is_the_least_correction_of_its_definition():
    for p_values in itertools.product([0.001, 0.011, 0.02, 0.03, 0.2], repeat=3):
        found = holm(list(p_values))
        ordered = sorted(p_values)
        enough = [p <= limit for p, limit in zip(ordered, [0.05 / 3, 0.05 / 2, 0.05], strict=True)]
        allowed = (enough + [False]).index(False)
        assert sum(found) == allowed
        assert sorted(p for p, held in zip(p_values, found, strict=True) if held) == ordered[:allowed]
    assert holm([]) == []


def test_all_and_any():
    assert (every(0.01, 0.2), every()) == (0.2, 1)
    assert (some(0.01, 0.2), some(0.9, 0.8), some()) == (0.02, 1, 1)
