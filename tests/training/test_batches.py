"""Batches: epochs without replacement that depend on the seed alone."""

import torch
from training_support import N

from ranktwo.nets.streams import stream
from ranktwo.training.batches import Batches


def test_batches_are_epochs_without_replacement_and_depend_on_the_seed_alone():
    rows = Batches([5, 2], N, 4).take(13)
    assert rows.shape == (13, 2, 4)
    for seed in range(2):
        for epoch in range(2):
            assert len(set(rows[5 * epoch : 5 * epoch + 5, seed].flatten().tolist())) == 20
    assert not torch.equal(rows[:, 0], rows[:, 1])
    pieces = Batches([2], N, 4)
    assert torch.equal(torch.cat([pieces.take(count) for count in (1, 7, 5)])[:, 0], rows[:, 1])


def test_streams_of_one_seed_differ_by_purpose():
    draws = [torch.rand(3, generator=stream(1, purpose)).tolist() for purpose in ("init", "batches", "noise")]
    assert len({tuple(draw) for draw in draws}) == 3
