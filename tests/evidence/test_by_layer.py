"""No verdict is made of two architectures; other matrices of a net are judged as V is, with tests of their own."""

import numpy as np
import pandas
import pytest
from evidence.made_up import KINDS, judge, one, study

from ranktwo.evidence.claims.families import architecture
from ranktwo.evidence.effects import LEVEL
from ranktwo.report import verdicts as page

DEEP = {"widths": "8-8", "optimum_residual_2": None, "optimum_effective_rank": None}
"""No minimiser is known of deeper nets."""


def layers_of(cells, **matrices):
    """Rows of layers.parquet of these cells: by matrix its shape, R, and what else is not as V has it."""
    parts = []
    for depth, (matrix, (shape, rank, changes)) in enumerate(matrices.items(), start=1):
        own = {
            name: [value(r) if callable(value) else value for r in cells.itertuples()]
            for name, value in changes.items()
        }
        facts = {"matrix": matrix, "depth": depth, "rows": shape[0], "columns": shape[1], "sample_rank": float(rank)}
        facts["residual_sample_rank"] = 0.0
        parts.append(cells[["cell", "residual_2", "effective_rank", *KINDS]].assign(**facts | own))
    return pandas.concat(parts, ignore_index=True)


def found(rows, claim, matrix, rule="residual_2", dataset="toy"):
    chosen = rows[(rows["claim"] == claim) & (rows["matrix"] == matrix) & (rows["rule"] == rule)]
    [row] = chosen[chosen["dataset"] == dataset].to_dict("records")
    return row


def test_an_architecture_is_all_that_sets_a_net_apart_from_the_paper_s_but_its_widths():
    paper = {"net": "mlp", "widths": "128", "activation": "relu", "bias": False, "normalisation": "none"}
    assert architecture(paper) == architecture(paper | {"widths": "16"}) == "mlp"
    other = {"widths": "64-64-64", "activation": "gelu", "bias": True, "normalisation": "layer"}
    assert architecture(paper | other) == "mlp, 3 widths, gelu, bias true, norm layer"
    assert architecture(paper | {"net": "convnet", "widths": (8, 16)}) == "convnet, 2 widths"


def test_no_verdict_is_of_two_architectures():
    """Nets of gelu that break the theorem and keep their rank say nothing of nets of relu, however many they are."""
    gelu = study(activation="gelu", residual_1=0.95, residual_2=0.5, decays=(0.0, 0.05, 0.1, 0.2), seeds=5)
    gelu["cell"] += "-gelu"
    rows = judge(gelu, study(), study(batch_size=8))
    for claim in ("C1", "C2", "C3", "C3b"):
        shown = rows[(rows["claim"] == claim) & rows["headline"]]
        assert set(shown["architecture"]) == {"mlp"}
        assert not any("gelu" in name for names in shown["rests_on"] for name in names)
        assert shown.loc[shown["dataset"] == "toy", "verdict"].item() == "supported", claim
        other = rows[
            (rows["claim"] == claim) & (rows["architecture"] == "mlp, gelu") & (rows["rule"] == shown["rule"].iloc[0])
        ]
        assert set(other["dataset"]) == {"toy", "overall"}
        wanted = "inconclusive" if claim == "C2" else "contradicted"
        assert other.loc[other["dataset"] == "toy", "verdict"].item() == wanted, claim
        assert other.loc[other["dataset"] == "overall", "verdict"].item() == wanted, claim
    assert rows["architecture"].iloc[0] == "mlp"


def test_pairs_of_nets_of_equal_decay_are_of_one_architecture():
    tanh = study(activation="tanh", effective_rank=lambda mu, s: 30 + s, test_loss=lambda mu, s: 5 + 0.01 * s, seeds=4)
    pairs = judge(study(seeds=4), tanh.assign(cell=tanh["cell"] + "-tanh"))
    assert set(pairs.loc[(pairs["claim"] == "C5b") & (pairs["dataset"] == "toy"), "cells"]) == {0}


@pytest.mark.parametrize(("columns", "verdict"), [(2, "trivial"), (3, "supported")])
def test_v_of_few_columns_is_trivial_whatever_the_inputs_are(columns, verdict):
    """V of a transformer acts on patches: of eight features or fewer they are of two numbers or one."""
    cells = study(net="transformer", activation="gelu", bias=True, inputs=8, input_rank=8)
    rows = judge(cells, layers=layers_of(cells, V=((16, columns), 4, {})))
    for claim in ("C1", "C1b", "C1c", "C2"):
        assert one(rows, claim)["verdict"] == verdict, claim
    flat = cells.assign(input_rank=2)
    assert one(judge(flat, layers=layers_of(flat, V=((16, columns), 4, {}))), "C1")["verdict"] == verdict
    assert "two rows or columns, or fewer" in one(rows, "C1")["criterion"]


def test_over_data_sets_an_architecture_counts_where_it_is():
    """Without the paper's nets, headlines are of what most data sets have."""
    deep = [study(name, **DEEP) for name in ("a", "b")]
    wide = study("c", activation="tanh", residual_2=0.5)
    rows = judge(wide, *deep)
    assert one(rows, "C1", dataset="overall")["note"] == "supported on a, b"
    assert set(rows.loc[rows["headline"], "architecture"]) == {"mlp, 2 widths"}
    overall = rows[(rows["claim"] == "C1") & (rows["dataset"] == "overall") & (rows["architecture"] == "mlp, tanh")]
    assert overall["verdict"].iloc[0] == "contradicted" and not overall["headline"].any()


def test_every_matrix_of_a_deeper_net_is_judged_by_its_own_numbers():
    cells = study(**DEEP)
    matrices = {
        "V": ((8, 10), 1, {}),
        "W2": ((8, 8), 1, {"residual_2": lambda r: 0.5 + 0.001 * r.seed, "effective_rank": 7.0}),
        "U": ((1, 8), 1, {"residual_2": 0.0}),
    }
    rows = judge(cells, layers=layers_of(cells, **matrices))
    assert one(rows[rows["matrix"] == "V"], "C1")["verdict"] == "supported"
    own = found(rows, "C1", "W2")
    assert own["verdict"] == "contradicted" and own["effect"] == pytest.approx(0.501)
    assert own["effect_name"].startswith("d_2/||W2||, relative distance to rank two, at the greatest weight decay")
    assert own["criterion"].endswith("trivial if W2 has two rows or columns, or fewer.")
    assert own["sample_rank"] == 1 and "the theorem is of rank R = 1;" in own["note"]
    assert not own["headline"] and set(own["rests_on"]) == set(cells.loc[cells["weight_decay"] == 0.2, "cell"])
    assert found(rows, "C1", "U")["verdict"] == found(rows, "C2", "U")["verdict"] == "trivial"
    assert found(rows, "C2", "W2")["verdict"] == "inconclusive"
    assert found(rows, "C2", "W2")["note"] == "without decay d_2/||W2|| is 0.501, with it 0.501"
    assert found(rows, "C2", "W2", "effective_rank")["effect"] == 0
    assert set(rows.loc[rows["matrix"] != "V", "claim"]) == {"C1", "C2"}
    assert found(rows, "C1", "V", dataset="overall")["cells"] == 3  # V's alone


def test_the_paper_s_two_layer_nets_have_no_rows_of_layers():
    cells = study()
    matrices = {"V": ((8, 10), 1, {}), "U": ((10, 8), 1, {"residual_2": 0.5})}
    assert judge(cells, layers=layers_of(cells, **matrices)).equals(judge(cells))
    other = study(activation="gelu")
    assert "U" in set(judge(other, layers=layers_of(other, **matrices))["matrix"])


def test_where_a_sample_has_a_higher_rank_the_distance_from_it_is_judged_too():
    cells = study(net="convnet", widths="8-8")
    matrices = {
        "V": ((8, 9), 8, {}),
        "conv": ((8, 72), 4, {"residual_sample_rank": falls_by(0.03)}),
        "U": ((10, 8), 1, {}),
    }
    rows = judge(cells, layers=layers_of(cells, **matrices))
    whole = found(rows, "C1", "V", "residual_sample_rank")
    assert whole["verdict"] == "trivial" and whole["note"].endswith("R = 8, the full rank: it says nothing")
    part = found(rows, "C1", "conv", "residual_sample_rank")
    assert part["verdict"] == "supported" and part["sample_rank"] == 4
    assert part["effect_name"].startswith("d_R/||conv||, relative distance to rank R = 4")
    assert set(rows.loc[rows["rule"] == "residual_sample_rank", "matrix"]) == {"V", "conv"}


def test_the_theorem_is_judged_by_the_rank_that_it_speaks_of():
    """A V of full rank R is within any bound; d_1 above the bound breaks no theorem of rank R > 1, and d_R does."""
    cells = study(net="convnet", widths="8-8", residual_1=0.95, sample_rank=4)
    for shape, rank, distance, verdict in (
        ((8, 9), 4, 0.3, "supported"),
        ((8, 9), 4, 0.81, "contradicted"),
        ((4, 9), 4, 0.0, "trivial"),
    ):
        layers = layers_of(cells, V=(shape, rank, {"residual_sample_rank": distance}))
        assert one(judge(cells, layers=layers), "C3")["verdict"] == verdict, (shape, distance)


def falls_by(least):
    return lambda row: least + 0.001 * row.seed


def test_the_matrices_of_a_net_are_a_family_of_tests_of_their_own():
    """A matrix that counts alone, at a p-value of 2 %, counts no more beside three that do not."""
    cells = study(**DEEP)
    near = lambda row: [0.05, 0.06, 0.07][row.seed] if row.weight_decay else 0.9  # noqa: E731
    wide = lambda row: [0.02, 0.1, 0.18][row.seed] if row.weight_decay else 0.9  # noqa: E731
    first, alone = {"V": ((8, 10), 1, {})}, {"W2": ((8, 8), 1, {"residual_2": near})}
    more = {f"W{number}": ((8, 8), 1, {"residual_2": wide}) for number in (3, 4, 5)}
    single = found(judge(cells, layers=layers_of(cells, **first, **alone)), "C1", "W2")
    assert single["verdict"] == "supported" and LEVEL / 4 < single["p_supported"] < LEVEL
    beside = judge(cells, layers=layers_of(cells, **first, **alone, **more))
    assert found(beside, "C1", "W2")["verdict"] == "inconclusive"
    assert found(beside, "C1", "W2")["p_supported"] == single["p_supported"]
    assert one(beside[beside["matrix"] == "V"], "C1")["verdict"] == "supported"
    # Another data set, and another rule, is another family.
    other = study("other", **DEEP)
    both = judge(
        cells, other, layers=pandas.concat([layers_of(cells, **first, **alone), layers_of(other, **first, **more)])
    )
    assert found(both, "C1", "W2")["verdict"] == "supported"


def test_the_page_has_a_line_for_each_architecture_and_the_rest_is_of_the_first():
    deep = study(**DEEP)
    deep["cell"] += "-deep"
    matrices = {
        "V": ((8, 10), 1, {}),
        "W2": ((8, 8), 1, {}),
        "W3": ((8, 8), 1, {"residual_2": 0.5}),
        "U": ((1, 8), 1, {}),
    }
    rows = judge(study(), deep, layers=layers_of(deep, **matrices))
    table = page.architectures(rows)
    first = table[table["claim"] == "C1"]
    assert list(zip(first["architecture"], first["data set"], strict=True)) == [
        (name, data) for name in ("mlp", "mlp, 2 widths") for data in ("toy", "overall")
    ]
    assert list(first["other matrices"]) == [
        "-",
        "-",
        "supported: W2 (R = 1); contradicted: W3 (R = 1); trivial: U (R = 1)",
        "-",
    ]
    assert first["effect"].iloc[0] == "0.011"
    assert set(table["claim"]) == {"C1", "C2"}
    alone, parts = judge(study()), page.page(rows, study())
    assert page.architectures(alone).empty
    assert page.scope(alone) == [] and page.scope(rows) == [
        "These verdicts are of one architecture, mlp, on toy. Of mlp, 2 widths see the table by architecture and layer."
    ]
    assert page.scope(judge(deep, layers=layers_of(deep, **matrices))) == [
        "These verdicts are of one architecture, mlp, 2 widths, on toy."
    ]
    without = [
        part
        for part in parts
        if not (isinstance(part, str) and "architecture" in part)
        and not (isinstance(part, pandas.DataFrame) and "architecture" in part)
    ]
    expected = page.page(alone, study())
    assert len(parts) == len(expected) + 4
    for part, same in zip(without, expected, strict=True):
        assert part == same if isinstance(part, str) else part.equals(same)


def test_a_layer_s_numbers_may_be_null():
    cells = study(**DEEP)
    nothing = {name: np.nan for name in ("residual_2", "effective_rank", "residual_sample_rank")}
    rows = judge(cells, layers=layers_of(cells, V=((8, 10), 1, {}), W2=((8, 8), 4, nothing)))
    assert found(rows, "C1", "W2")["verdict"] == found(rows, "C2", "W2")["verdict"] == "inconclusive"
    assert found(rows, "C1", "W2")["cells"] == 0
