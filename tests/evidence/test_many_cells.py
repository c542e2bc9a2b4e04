"""What claims make of all cells at once is what they make of one after the other."""

from itertools import combinations

import numpy as np
import pandas
import pytest

from ranktwo.evidence.claims.c5b_rank_is_why import at_fixed_decay
from ranktwo.evidence.claims.families import Family
from ranktwo.study.axes import FAMILY, REPLICATE


def cells(settings=4, splits=3, seeds=2):
    random = np.random.default_rng(0)
    rows = [
        {
            **dict.fromkeys(FAMILY, 1),
            **{"batch_size": 2**setting, "weight_decay": mu, "split": split, "seed": seed, "status": "ok"},
            **{"effective_rank": 5 + setting + random.normal(), "residual_2": random.uniform()},
            "test_loss": random.uniform(),
        }
        for setting in range(settings)
        for mu in (0.0, 0.01, 0.1, 1.0)
        for split in range(splits)
        for seed in range(seeds)
    ]
    table = pandas.DataFrame(rows).sample(frac=0.9, random_state=1)
    return table.assign(cell=[f"c{number}" for number in range(len(table))])


def test_the_decay_is_chosen_by_the_other_splits_or_seeds():
    for table, unit in ((cells(settings=1), "split"), (cells(settings=1, splits=1, seeds=5), "seed")):
        family = Family(table, "", main=True)
        for low_rank in (0.5, np.inf):
            expected = []
            for value, own in table.groupby(unit, sort=False):
                others = table[(table[unit] != value) & (table["weight_decay"] > 0)].groupby("weight_decay")
                means = others[["test_loss", "residual_2"]].mean()
                allowed = means.loc[means["residual_2"] < low_rank, "test_loss"]
                if len(allowed):
                    expected += list(own.loc[own["weight_decay"] == allowed.idxmin(), "cell"])
            assert sorted(family.validated(low_rank)["cell"]) == sorted(expected)
            assert expected
    none = Family(cells().assign(status="unfit"), "", main=True)
    assert none.validated().empty


def test_settings_of_one_decay_are_compared_pair_by_pair():
    table = cells()
    products, names, pairs, independent = {}, [], 0, 0
    for _, level in table.groupby("weight_decay"):
        compared = set()
        settings = [own.set_index(list(REPLICATE)) for _, own in level.groupby("batch_size")]
        for (i, one), (j, other) in combinations(enumerate(settings), 2):
            both = one.index.intersection(other.index)
            ranks = [np.log(part.loc[both, "effective_rank"]) for part in (one, other)]
            difference = ranks[0] - ranks[1]
            if not abs(difference.mean()) > np.sqrt((ranks[0].var() + ranks[1].var()) / 2):
                continue
            losses = one.loc[both, "test_loss"] - other.loc[both, "test_loss"]
            for place in both:
                products.setdefault(place, []).append(np.sign(difference[place]) * np.sign(losses[place]))
            names += [*one.loc[both, "cell"], *other.loc[both, "cell"]]
            compared |= {i, j}
            pairs += 1
        independent += max(len(compared) - 1, 0)
    found = at_fixed_decay(table, "test_loss")
    assert 0 < pairs < 24
    assert (found.pairs, found.independent) == (pairs, independent)
    assert found.cells == list(dict.fromkeys(names))
    assert found.taus.to_dict() == pytest.approx({place: np.mean(signs) for place, signs in products.items()})
    one_replicate = at_fixed_decay(table[(table["split"] == 0) & (table["seed"] == 0)], "test_loss")
    assert (one_replicate.pairs, len(one_replicate.taus)) == (0, 0)
