"""Ranks of spectra whose ranks are known, and the traps that published tools fell into."""

import math

import numpy as np
import pytest
import torch
from support import SGD_FACTS, a_cell

from ranktwo.analysis import spectra
from ranktwo.analysis.ranks import Spectra
from ranktwo.analysis.rules.noise import gavish_donoho, marchenko_pastur
from ranktwo.nets import initial
from ranktwo.store import columns
from ranktwo.store.records import Record
from ranktwo.training import divergence


def of(matrix: np.ndarray, noise: float = math.nan) -> Spectra:
    s = spectra.singular_values(torch.from_numpy(matrix)[None])
    return Spectra(s=s, rows=matrix.shape[0], columns=matrix.shape[1], noise=np.array([noise]))


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_an_exactly_rank_two_float32_matrix_has_rank_two():
    """Cast to float64 and judged by float64's eps, it counts as full rank: a published tool says 512."""
    left, right = random(784, 2).astype("f4"), random(2, 512, seed=1).astype("f4")
    matrix = of((left @ right).astype("f8"))
    assert np.linalg.matrix_rank((left @ right).astype("f8")) > 100
    found = spectra.measures(matrix, 1)
    for name in ("numpy", "galanti", "relative", "energy"):
        assert found[f"rank_{name}"] == 2, name
    assert found["residual_2"] < 1e-6 < found["residual_1"]


@pytest.mark.parametrize("shape", [(8, 1000), (64, 784), (784, 64), (100, 100)])
def test_pure_noise_of_known_level_has_rank_zero(shape):
    """With min(m, n) in place of max in the threshold, a published tool calls pure noise full rank."""
    noise = of(0.3 * random(*shape), noise=0.3)
    assert gavish_donoho(noise) == 0
    assert marchenko_pastur(noise) <= 2
    signal = of(
        0.3 * random(*shape) + 60 * np.outer(random(shape[0])[:, None], random(shape[1], seed=3)) / 8, noise=0.3
    )
    assert gavish_donoho(signal) == 1


def test_gavish_donoho_constants():
    for beta, expected in ((1.0, 4 / math.sqrt(3)), (0.5, 1.9784)):
        rows = 1000
        columns = round(beta * rows)
        threshold = expected * math.sqrt(rows)
        s = np.concatenate([[threshold * 1.0005], np.full(columns - 1, threshold * 0.9995)])[None]
        assert gavish_donoho(Spectra(s=s, rows=rows, columns=columns, noise=np.ones(1))) == 1


def test_noise_rules_are_undefined_where_rounding_hides_the_noise():
    left, right = random(128, 2).astype("f4"), random(2, 64, seed=1).astype("f4")
    product = (left @ right).astype("f8")
    rounding = np.linalg.norm(product, 2) * 128 * 2.0**-23
    for share, rank in ((1.01, 2), (0.99, math.nan)):
        matrix = of(product, noise=share * rounding / (math.sqrt(128) + math.sqrt(64)))
        assert [*gavish_donoho(matrix), *marchenko_pastur(matrix)] == pytest.approx([rank] * 2, nan_ok=True)


def test_continuous_ranks_of_a_known_spectrum():
    s = np.array([[4.0, 2.0, 1.0, 0.0]])
    found = spectra.measures(Spectra(s=s, rows=4, columns=9, noise=np.array([math.nan])), 1)
    p = np.array([4, 2, 1]) / 7
    assert found["norm"] == pytest.approx(math.sqrt(21))
    assert found["nuclear_norm"] == 7
    assert found["schatten_half"] == pytest.approx((2 + math.sqrt(2) + 1) ** 2)
    assert found["stable_rank"] == pytest.approx(21 / 16)
    assert found["effective_rank"] == pytest.approx(math.exp(-(p * np.log(p)).sum()))
    assert found["participation_ratio"] == pytest.approx(21**2 / (256 + 16 + 1))
    assert found["residual_1"] == pytest.approx(math.sqrt(5 / 21))
    assert found["residual_2"] == pytest.approx(math.sqrt(1 / 21))
    assert found["residual_3"] == 0
    assert found["residual_c"] == found["residual_1"]
    assert found["residual_c1"] == found["residual_2"]
    assert found["rank_energy"] == 3
    assert np.isnan(found["rank_gavish_donoho"])


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_ranks_do_not_depend_on_scale(scale):
    s = np.sort(random(5, 12) ** 2)[:, ::-1]
    one, other = (
        spectra.measures(Spectra(s=factor * s, rows=12, columns=20, noise=np.full(5, 0.01 * factor)), 2)
        for factor in (1.0, scale)
    )
    for name in one:
        if name not in ("norm", "nuclear_norm", "schatten_half"):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-12, err_msg=name)


def test_effective_rank_is_between_one_and_the_rank():
    s = np.array([[1.0, 0, 0], [1, 1, 1], [1, 1, 0], [1, 1e-6, 1e-6]])
    found = spectra.measures(Spectra(s=s, rows=3, columns=3, noise=np.full(4, np.nan)), 1)["effective_rank"]
    p = s[3] / s[3].sum()
    np.testing.assert_allclose(found, [1, 3, 2, math.exp(-(p * np.log(p)).sum())], rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (7, 7)])
def test_singular_values_are_numpys_whatever_the_shape(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    expected = np.linalg.svd(matrices.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(spectra.singular_values(matrices), expected, rtol=1e-12, atol=1e-13)


def test_residuals_are_distances_to_the_nearest_matrix_of_that_rank():
    matrix = random(9, 6)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    found = spectra.measures(of(matrix), 1)
    for r in (1, 2, 3):
        nearest = (u[:, :r] * s[:r]) @ vt[:r]
        assert found[f"residual_{r}"] == pytest.approx(np.linalg.norm(matrix - nearest) / np.linalg.norm(matrix))


def a_record(weights: dict[str, torch.Tensor]) -> Record:
    facts = {"task": "binary", "inputs": 4, "outputs": 1, "train_size": 20, "batch_size": 4, "widths": "6"}
    return Record(cell=vars(a_cell()) | facts | SGD_FACTS, identity="", steps=[0, 10, 50], weights=weights)


def test_collapsed_and_non_finite_matrices_have_null_ranks():
    v = torch.stack([torch.randn(6, 4), torch.zeros(6, 4), torch.full((6, 4), math.nan)])
    rows = spectra.rows_of(a_record({"V": v}), "a", spectra.schema().names)
    assert rows["norm"][1] == 0
    assert rows["norm"][2] is None
    assert rows["singular_values"][1] == [0, 0, 0, 0]
    assert rows["singular_values"][2] is None
    for column in ("effective_rank", "residual_2", "stable_rank", "rank_numpy", "rank_gavish_donoho"):
        assert rows[column][0] is not None
        assert rows[column][1] is None
        assert rows[column][2] is None


@pytest.mark.parametrize(
    ("optimizer", "schedule", "facts"),
    [
        ("sgd", "constant", {"decay": "coupled", "plain": True}),
        ("sgd", "cosine", {"decay": "coupled", "plain": True}),
        ("adamw", "cosine", {"decay": "decoupled", "plain": False}),
    ],
)
def test_remaining_noise_is_what_training_on_nothing_leaves(optimizer, schedule, facts):
    """With x = 0 there is no gradient, so V is its initial value times what decay left."""
    cell = a_cell(schedule=schedule, optimizer=optimizer, weight_decay=0.3, learning_rate=0.2)
    training = divergence.begin([cell], torch.zeros(20, 4), torch.zeros(20, dtype=torch.int64), "binary", 1)
    start = training.stack.weights[0].norm()
    training.advance_to(50)
    sigma = spectra.remaining_noise(vars(cell) | facts, initial.initial_std(4), [0, 50])
    assert sigma[0] == initial.initial_std(4)
    assert (training.stack.weights[0].norm() / start).item() == pytest.approx(sigma[1] / sigma[0], rel=1e-5)


@pytest.mark.parametrize(
    "facts",
    [
        {"decay": "coupled", "plain": False},
        {},
        {"decay": "coupled"},
        {"plain": True},
        {"decay": "of another kind", "plain": True},
        {"decay": "coupled", "plain": None},
        {"decay": "decoupled", "plain": False, "decay_rule": "input-norm"},
    ],
)
def test_remaining_noise_is_unknown_where_decay_alone_does_not_tell_it(facts):
    assert np.isnan(spectra.remaining_noise(vars(a_cell()) | facts, 0.3, [0, 50])).all()
    record = a_record({"V": torch.randn(3, 6, 4)})
    record.cell = {key: value for key, value in record.cell.items() if key not in SGD_FACTS} | facts
    rows = spectra.rows_of(record, "a", spectra.schema().names)
    assert rows["rank_gavish_donoho"] == rows["rank_marchenko_pastur"] == [None] * 3
    assert None not in rows["rank_numpy"]


def test_every_rule_has_its_column():
    ranks = [name for name, kind in columns.kinds(spectra.schema()).items() if kind == "rank"]
    rules = ["numpy", "galanti", "relative", "energy", "gavish_donoho", "marchenko_pastur"]
    assert ranks == [f"rank_{name}" for name in rules]
    found = spectra.measures(of(random(4, 3)), 1)
    assert {*found, "singular_values"} == {*spectra.COLUMNS, *ranks}
    described = spectra.schema().field("rank_energy").metadata[b"description"]
    assert described == b"Fewest s_i that hold 99 % of sum s_i^2."


def test_the_table_has_a_row_for_each_cell_snapshot_and_matrix(run_analysis):
    table = run_analysis("spectra")
    assert table.schema.equals(spectra.schema())
    rows = table.to_pylist()
    records = run_analysis.records
    assert [(row["cell"], row["matrix"], row["step"]) for row in rows] == [
        (name, matrix, step) for name, record in records.items() for matrix in ("V", "U") for step in record.steps
    ]
    for row in rows:
        record = records[row["cell"]]
        weight = record.weights[row["matrix"]][record.steps.index(row["step"])]
        assert (row["rows"], row["columns"]) == tuple(weight.shape)
        if weight.isfinite().all():
            expected = np.linalg.svd(weight.double().numpy(), compute_uv=False)
            np.testing.assert_allclose(row["singular_values"], expected, rtol=1e-12, atol=1e-13)
        else:
            assert row["singular_values"] is None
