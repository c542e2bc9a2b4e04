"""Initial weights, the random streams that they come from, and where matrices lie in memory."""

import math

import pytest
import torch

from ranktwo.nets import initial, layout
from ranktwo.nets.streams import random_seed, stream

GOLDEN_SEEDS = [7441833814295572589, 979734243585910664, 5632913188641435849]
GOLDEN_SPLIT = 9096684868786435155
GOLDEN_NUMBERS = [858, 161, 288, 232, 372]


def test_initial_weights_are_uniform_with_the_spread_that_is_told():
    v, u = initial.initial_weights([9, 20_000, 3], stream(0, "init"))
    assert v.shape == (20_000, 9) and u.shape == (3, 20_000)
    for weight, inputs in ((v, 9), (u, 20_000)):
        bound = 1 / math.sqrt(inputs)
        assert -bound <= weight.min() < -0.999 * bound and 0.999 * bound < weight.max() <= bound
        assert weight.std().item() == pytest.approx(initial.initial_std(inputs), rel=0.01)
        assert abs(weight.mean()) < 0.01 * bound


def test_a_seed_means_the_same_net_in_both_precisions():
    sizes = [4, 6, 2]
    single = initial.initial_weights(sizes, stream(1, "init"))
    double = initial.initial_weights(sizes, stream(1, "init"), torch.float64)
    for narrow, wide in zip(single, double, strict=True):
        assert wide.dtype == torch.float64 and torch.equal(narrow.double(), wide)


def test_a_stream_is_the_same_in_every_version():
    """Golden: other numbers here are other initial weights, batches and noise, and retrain every study."""
    seeds = [stream(0, "init").initial_seed(), stream(0, "batches").initial_seed(), stream(1, "init").initial_seed()]
    assert seeds == GOLDEN_SEEDS
    assert torch.randint(1000, (5,), generator=stream(0, "init")).tolist() == GOLDEN_NUMBERS


def test_every_split_and_seed_has_random_numbers_of_its_own():
    """Golden, too. Those of split 0 are the seed's own."""
    found = {(split, seed): random_seed({"split": split, "seed": seed}) for split in range(4) for seed in range(50)}
    assert len(set(found.values())) == len(found)
    assert [found[0, seed] for seed in range(50)] == list(range(50))
    assert found[1, 0] == GOLDEN_SPLIT


def test_a_matrix_is_filled_up_to_64_bytes():
    assert [layout.padded(size) for size in (0, 1, 15, 16, 17, 32)] == [0, 16, 16, 16, 32, 32]


def test_matrices_lie_one_after_another():
    assert layout.starts([5, 4, 3, 1]) == [0, 32, 48, 64]
    assert layout.starts([64, 128, 10]) == [0, 8192, 9472]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (4, 4), (7, 9)])
def test_every_matrix_begins_on_a_64_byte_boundary(rows, columns, dtype):
    tensor = layout.aligned(3, rows, columns, torch.empty(0, dtype=dtype))
    assert tensor.shape == (3, rows, columns) and tensor.dtype == dtype
    assert [matrix.data_ptr() % 64 for matrix in tensor] == [0, 0, 0]
    tensor[0], tensor[1], tensor[2] = 0, 1, 2
    assert [matrix.unique().tolist() for matrix in tensor] == [[0], [1], [2]]
    assert all(matrix.is_contiguous() for matrix in tensor)
