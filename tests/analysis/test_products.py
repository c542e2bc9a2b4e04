"""Rows of products in spectra, against NumPy."""

import math

import numpy as np
import pytest
import torch
from support import a_cell
from textbook import normal

from ranktwo.analysis import spectra
from ranktwo.nets.products import Product
from ranktwo.store.columns import REAL, column
from ranktwo.store.records import Record, read_records, write_records

PRODUCTS = {
    "head1.QK": Product("Q", "K", (0, 3), turned=True),
    "head2.QK": Product("Q", "K", (3, 6), turned=True),
    "head2.OV": Product("O", "V", (3, 6)),
}
STEPS = [0, 20, 50]


def record_of(weights: dict[str, torch.Tensor]) -> Record:
    cell = vars(a_cell(net="transformer", weight_decay=0.2, steps=50))
    cell |= {"task": "multiclass", "inputs": 4, "outputs": 2, "decay": "coupled", "plain": True}
    products = {name: list(product) for name, product in PRODUCTS.items()}
    history = {"train_loss": [1.0] * len(STEPS)}
    return Record(cell=cell, identity="", steps=STEPS, weights=weights, products=products, history=history)


def weights_of(seed: int) -> dict[str, torch.Tensor]:
    """W_Q, W_K, W_V [6, 4] and W_O [5, 6] at three snapshots."""
    sizes = {"V": (6, 4), "Q": (6, 4), "K": (6, 4), "O": (5, 6)}
    drawn = (normal(3, m * n, seed=seed + place).float().view(3, m, n) for place, (m, n) in enumerate(sizes.values()))
    return dict(zip(sizes, drawn, strict=True))


def rows_of(record: Record) -> dict[tuple[str, int], dict]:
    columns = spectra.rows_of(record, "a", spectra.schema().names)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {(row["matrix"], row["step"]): row for row in rows}


def effective(s: np.ndarray) -> float:
    p = s[s > 0] / s.sum()
    return math.exp(-(p * np.log(p)).sum())


def test_a_product_is_measured_as_a_matrix_is_and_beside_its_factors():
    weights = weights_of(0)
    rows = rows_of(record_of(weights))
    assert [name for name, step in rows if step == 0] == [*weights, *PRODUCTS]
    for index, step in enumerate(STEPS):
        w = {name: values[index].double().numpy() for name, values in weights.items()}
        factors = {
            "head1.QK": (w["Q"][:3].T, w["K"][:3]),
            "head2.QK": (w["Q"][3:].T, w["K"][3:]),
            "head2.OV": (w["O"][:, 3:], w["V"][3:]),
        }
        for name, (a, b) in factors.items():
            row, s = rows[name, step], np.linalg.svd(a @ b, compute_uv=False)
            s_a, s_b = (np.linalg.svd(one, compute_uv=False) for one in (a, b))
            apart = np.linalg.norm(a.T @ a - b @ b.T)
            assert (row["rows"], row["columns"]) == (a @ b).shape
            assert row["factors"] == ("O, V" if name == "head2.OV" else "Q, K")
            np.testing.assert_allclose(row["singular_values"], s, rtol=1e-12, atol=1e-14)
            expected = {
                "norm": np.linalg.norm(a @ b),
                "residual_2": s[2] / np.linalg.norm(s),
                "rank_numpy": 3,
                "effective_rank": effective(s),
                "imbalance": apart / (np.linalg.norm(a.T @ a) + np.linalg.norm(b @ b.T)),
                "factor_effective_rank": math.sqrt(effective(s_a) * effective(s_b)),
                "aligned_effective_rank": effective(s_a * s_b),
            }
            for key, value in expected.items():
                assert row[key] == pytest.approx(value, rel=1e-12), key
            assert row["rank_gavish_donoho"] is row["rank_marchenko_pastur"] is None
        for name in weights:
            row = rows[name, step]
            assert {row[key] for key in spectra.PRODUCT} == {None}
            assert row["rank_gavish_donoho"] is not None


def test_balanced_and_aligned_factors_have_no_imbalance_and_the_product_their_effective_rank():
    """A = P S^(1/2) R and B = R^T S^(1/2) Q^T."""
    weights = weights_of(3)
    p, s, qt = torch.linalg.svd(normal(4, 4, seed=9))
    r = torch.linalg.qr(normal(3, 3, seed=8))[0]
    root = s[:3].sqrt()
    weights["Q"][0, :3], weights["K"][0, :3] = r.T @ (p[:, :3] * root).T, r.T @ (root[:, None] * qt[:3])
    row = rows_of(record_of(weights))["head1.QK", 0]
    assert row["imbalance"] < 1e-6
    assert row["aligned_effective_rank"] == pytest.approx(row["effective_rank"], rel=1e-6)
    assert row["effective_rank"] == pytest.approx(effective(s[:3].numpy()), rel=1e-6)
    assert row["factor_effective_rank"] == pytest.approx(effective(root.numpy()), rel=1e-6)
    weights["Q"][0, :3] = 0
    row = rows_of(record_of(weights))["head1.QK", 0]
    assert row["imbalance"] == 1 and row["effective_rank"] is row["factor_effective_rank"] is None
    assert row["norm"] == 0 and row["aligned_effective_rank"] is None


def test_what_is_not_finite_is_null_in_its_product_alone():
    weights = weights_of(6)
    weights["Q"][1, 0, 0] = math.nan
    rows = rows_of(record_of(weights))
    lost, kept = rows["head1.QK", 20], rows["head2.QK", 20]
    assert lost["factors"] == kept["factors"] == "Q, K"
    for key in (spectra.COLUMNS | spectra.PRODUCT).keys() - {"factors"}:
        assert lost[key] is None is not kept[key], key
    assert rows["head1.QK", 0]["imbalance"] is not None is not rows["head1.QK", 50]["imbalance"]


def test_the_files_of_a_stack_keep_what_products_a_net_has(tmp_path):
    files = tmp_path / "weights.safetensors", tmp_path / "history.parquet"
    write_records(*files, {"a": record_of(weights_of(0))}, {"train_loss": column(REAL, "")}, {"stage": "train"})
    read = read_records(*files)["a"].with_weights([0, 50])
    assert {name: Product(*fields) for name, fields in read.products.items()} == {
        name: product._replace(inner=list(product.inner)) for name, product in PRODUCTS.items()
    }
    assert {name for name, _ in rows_of(read.of_weights())} == {*read.weights, *PRODUCTS}


def test_factors_of_more_inner_units_than_rows_have_as_many_singular_values_multiplied_as_the_shorter_has():
    a, b = normal(2, 2 * 5, seed=1).view(2, 2, 5), normal(2, 5 * 3, seed=2).view(2, 5, 3)
    found = spectra.of_factors(a, b)
    for index in range(2):
        s_a, s_b = (np.linalg.svd(one[index].numpy(), compute_uv=False) for one in (a, b))
        assert len(s_a) == 2 and len(s_b) == 3
        assert found["aligned_effective_rank"][index] == pytest.approx(effective(s_a * s_b[:2]), rel=1e-12)
        assert found["factor_effective_rank"][index] == pytest.approx(
            math.sqrt(effective(s_a) * effective(s_b)), rel=1e-12
        )
