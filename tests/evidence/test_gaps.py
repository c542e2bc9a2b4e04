"""One row per cell: gaps, statuses, what is null, and headlines of whatever analyses there are."""

import json
import math

import pyarrow
import pytest
from evidence.made_up import REQUIRED
from evidence.stacks import CELLS, HEADLINE, MADE, METRICS, R2, THRESHOLDS, rows_of_a_stack, run_stage, write

from ranktwo.errors import UserError
from ranktwo.evidence import gaps, predictors, timing
from ranktwo.stages import gaps as stage
from ranktwo.store import files, registry
from ranktwo.store.columns import REAL, TEXT, column, headlines, schema
from ranktwo.store.records import CELL, DIVERGED, MATRIX, SNAPSHOT
from ranktwo.study.axes import CELL_COLUMNS


@pytest.fixture
def made(tmp_path, known_analyses):
    """The table of gaps of one stack, and the first of its rows."""

    def make(**changes):
        write(tmp_path, "one", rows_of_a_stack(**changes))
        table = gaps.table(tmp_path, ["one"], [], THRESHOLDS)
        assert table["cell"].to_pylist() == list(CELLS)
        return table.to_pylist()[0]

    return make


def test_gaps_are_test_minus_train_and_errors_not_accuracies(made):
    row = made()
    assert row["loss_gap"] == pytest.approx(0.2)
    assert row["clean_loss_gap"] == pytest.approx(0.1)
    assert row["matched_loss_gap"] == pytest.approx(0.3)
    assert row["accuracy_gap"] == pytest.approx(0.09)
    assert row["clean_accuracy_gap"] == pytest.approx(0.09)
    assert row["matched_accuracy_gap"] == pytest.approx(0.14)
    assert row["matched_r2_gap"] is None
    assert row["norm"] == 2
    assert row["initial_norm"] == 4


def test_moments_of_training_are_those_of_the_cell(made):
    row = made(train_accuracy=0.99, test_accuracy=0.9)
    assert (row["fit_step"], row["generalization_step"], row["rank_fall_step"]) == (0, 0, 7)
    assert (row["residual_fall_step"], row["initial_effective_rank"]) == (None, 4)


def test_gaps_in_r2(made):
    row = made(train_r2=0.9, clean_train_r2=0.8, test_r2=0.7, noisy_test_r2=0.6)
    assert row["matched_r2_gap"] == pytest.approx(0.3)


def test_certificates_are_those_of_v_at_the_end_and_other_tables_are_joined_by_cell(made, tmp_path):
    row = made()
    assert row["vacuity_upper"] == 7
    assert row["rank_numpy"] == 3
    assert row["decay_ratio"] == pytest.approx(0.2)
    assert row["other"] == 2
    second = gaps.table(tmp_path, ["one"], [], THRESHOLDS).to_pylist()[1]
    assert (second["seed"], second["vacuity_upper"], second["other"]) == (1, 7.5, 3)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"clean_train_accuracy": 0.8, "train_accuracy": 0.8}, "unfit"),
        ({"clean_train_accuracy": 0.8, "train_accuracy": 0.8, "linear": 0.82}, "ok"),
        ({"clean_train_accuracy": 0.8, "train_accuracy": 0.8, "linear": 0.5}, "ok"),
        ({"clean_train_accuracy": 0.5, "train_accuracy": 0.5, "linear": 0.5}, "unfit"),
        ({"clean_train_accuracy": 0.8}, "ok"),
        ({"train_accuracy": 0.8}, "ok"),
        (R2 | {"train_r2": 0.4, "clean_train_r2": 0.4}, "unfit"),
        (R2 | {"train_r2": 0.5, "clean_train_r2": 0.5}, "ok"),
        ({"norm": 0.039, "clean_train_accuracy": 0.5, "train_accuracy": 0.5}, "collapsed"),
        ({"norm": 0.041}, "ok"),
        ({"norm": 0.0}, "collapsed"),
        ({"norm": 0.0, "normalisation": "layer"}, "ok"),
        ({"norm": None, "diverged": 5, "train_accuracy": None, "clean_train_accuracy": None}, "diverged"),
        ({"norm": 0.0, "diverged": 5}, "diverged"),
    ],
)
def test_status_is_the_first_that_applies(made, changes, status):
    assert made(**changes)["status"] == status


def test_a_net_is_compared_with_the_same_net_without_decay(tmp_path, known_analyses):
    rows = rows_of_a_stack(decays=(0.1, 0.0), linear=0.7)
    for row in rows["train"]:
        if row["cell"] == "a" and row["step"]:
            row["train_accuracy"] = row["clean_train_accuracy"] = 0.7
    write(tmp_path, "one", rows)
    decayed, free = gaps.table(tmp_path, ["one"], [], THRESHOLDS).to_pylist()
    assert (decayed["fit_linear"], decayed["fit_free"]) == pytest.approx((1.0, 0.2 / 0.49))
    assert (free["fit_linear"], free["fit_free"]) == pytest.approx((0.49 / 0.2, 1.0))
    assert (decayed["status"], free["status"]) == ("unfit", "ok")
    alone = rows_of_a_stack(decays=(0.1, 0.2), linear=0.7)
    write(tmp_path, "one", alone)
    assert [row["fit_free"] for row in gaps.table(tmp_path, ["one"], [], THRESHOLDS).to_pylist()] == [None, None]


def test_what_a_diverged_cell_ended_with_is_null(made):
    row = made(norm=None, diverged=5, **dict.fromkeys(METRICS))
    assert row["diverged_step"] == 5
    assert row["initial_norm"] == 4
    assert {row[name] for name in ("norm", "loss_gap", "accuracy_gap", "train_loss")} == {None}


def test_columns_are_those_of_a_cell_then_gaps_then_headlines_each_as_declared(tmp_path, known_analyses):
    write(tmp_path, "one", rows_of_a_stack())
    table = gaps.table(tmp_path, ["one"], [], THRESHOLDS)
    made = MADE["bounds"] | MADE["certificates"] | MADE["spectra"]
    shown = [
        "norm",
        "effective_rank",
        "residual_2",
        "rank_numpy",
        "other",
        "chance_score",
        "linear_train_score",
        "critical_decay",
        "vacuity_upper",
    ]
    shown = {name: made[name] for name in shown}
    ended = {**DIVERGED, **dict.fromkeys(METRICS, HEADLINE)}
    expected = schema({**CELL_COLUMNS, **gaps.COLUMNS, **ended, **shown, **timing.COLUMNS, **gaps.PREDICTED})
    assert table.schema.equals(expected, check_metadata=True)
    assert [field.name for field in headlines(table.schema)] == [*ended, *shown]


def test_a_headline_of_an_analysis_that_is_new_arrives(tmp_path, known_analyses):
    known_analyses("bounds", "certificates", "new-idea", "no-headlines", "spectra")
    new = {
        **CELL,
        **SNAPSHOT,
        "colour": column(TEXT, "Its colour.", headline=True),
        "score": column(REAL, "A new measure.", headline=True, kind="measure"),
        "other": column(REAL, "Another's name.", headline=True),
        "detail": column(REAL, "No headline."),
    }
    rows = rows_of_a_stack()
    rows["new-idea"] = [
        {"cell": cell, "step": step, "colour": f"{cell}{step}", "score": step / 2, "other": -1.0, "detail": 1.0}
        for cell in reversed(CELLS)
        for step in (0, 7)
    ]
    rows["no-headlines"] = [{"cell": cell, "matrix": "U"} for cell in CELLS]
    write(tmp_path, "one", rows, MADE | {"new-idea": new, "no-headlines": {**CELL, **MATRIX}})
    table = gaps.table(tmp_path, ["one"], [], THRESHOLDS)
    assert table["colour"].to_pylist() == ["a7", "b7"]
    assert table["score"].to_pylist() == [3.5, 3.5]
    assert table["other"].to_pylist() == [2, 3]  # two analyses declare it, and the first wins
    assert "detail" not in table.column_names
    assert gaps.sources(tmp_path, ["one"])[-2:] == [
        tmp_path / name / "one.parquet" for name in ("new-idea", "no-headlines")
    ]
    files.write_parquet(tmp_path / "gaps.parquet", table, {"provenance": {"stage": "gaps"}})
    cells = gaps.read_cells(tmp_path / "gaps.parquet")
    assert cells.kinds == {"rank_numpy": "rank", "other": "bound", "score": "measure"}
    assert cells.of_kind("measure", "bound") == ["other", "score"]
    assert cells.of_kind("rate") == []


def test_the_package_declares_what_evidence_reads():
    """By the declarations of training and of all analyses, not by what this file made up."""
    from ranktwo.analysis.inputs import ANALYSES
    from ranktwo.training import evaluation

    declared = {**CELL_COLUMNS, **gaps.COLUMNS}
    registry.load_all("analysis")
    training = schema({**DIVERGED, **evaluation.COLUMNS})
    for one in (training, *(analysis.schema() for analysis in ANALYSES.values())):
        declared |= {field.name: field for field in headlines(one)}
    read_by_name = {*REQUIRED, *gaps.NEEDED, *predictors.RANKS, predictors.GAP, "accuracy_gap", "vacuity_upper"}
    read_by_name |= {"data_floor", "decay_ratio", "vc_bound_dense", "chen2024_dense_rate", "chen2024_rank_two_rate"}
    assert read_by_name <= set(declared)


def test_stacks_stand_one_after_the_other_and_whole_numbers_stay_whole_beside_nulls(tmp_path, known_analyses):
    first, second = rows_of_a_stack(), rows_of_a_stack(diverged=5)
    write(tmp_path, "one", first)
    write(tmp_path, "two", {name: [row | {"cell": row["cell"] * 2} for row in rows] for name, rows in second.items()})
    table = gaps.table(tmp_path, ["two", "one"], [], THRESHOLDS)
    assert table["cell"].to_pylist() == ["aa", "bb", "a", "b"]
    files.write_parquet(tmp_path / "gaps.parquet", table, {"provenance": {"stage": "gaps"}})
    rows = gaps.read_cells(tmp_path / "gaps.parquet").rows
    assert str(rows["diverged_step"].dtype) == "Int64"
    assert rows["diverged_step"].fillna(-1).tolist() == [5, 5, -1, -1]
    assert rows.equals(gaps.read("gaps", tmp_path / "gaps.parquet"))


def test_a_history_may_hold_cells_that_nobody_asks_for_any_more(tmp_path, known_analyses):
    rows = rows_of_a_stack()
    rows["train"] += [row | {"cell": "old"} for row in rows["train"][:2]]
    write(tmp_path, "one", rows)
    assert gaps.table(tmp_path, ["one"], [], THRESHOLDS)["cell"].to_pylist() == list(CELLS)


@pytest.mark.parametrize(
    ("made_by", "change"),
    [
        ("train", lambda rows: rows[:2]),
        ("bounds", lambda rows: rows[:1]),
        ("bounds", lambda rows: [*rows, {"cell": "old", "other": 1.0}]),
        ("certificates", lambda rows: rows[:4]),
    ],
)
def test_a_file_of_other_cells_is_put_aside(tmp_path, known_analyses, made_by, change):
    rows = rows_of_a_stack()
    write(tmp_path, "one", rows | {made_by: change(rows[made_by])})
    [path] = gaps.paths(tmp_path, made_by, ["one"])
    with pytest.raises(UserError, match=f"{path} has other cells than the stack's spectra; it was put aside"):
        gaps.table(tmp_path, ["one"], [], THRESHOLDS)
    assert not path.exists() and path.with_name(f"{path.name}.damaged").exists()


@pytest.mark.parametrize("made_by", ["spectra", "certificates"])
def test_files_of_other_runs_are_refused(tmp_path, known_analyses, made_by):
    rows = rows_of_a_stack()
    rows[made_by] = [row | {"step": row["step"] * 2} for row in rows[made_by]]
    write(tmp_path, "one", rows)
    with pytest.raises(UserError, match=rf"{made_by}.*history are of other runs; delete it"):
        gaps.table(tmp_path, ["one"], [], THRESHOLDS)


def test_a_matrix_that_is_not_there_is_named(tmp_path, known_analyses):
    rows = rows_of_a_stack()
    rows["certificates"] = [row for row in rows["certificates"] if (row["cell"], row["matrix"]) != ("b", "V")]
    write(tmp_path, "one", rows)
    with pytest.raises(UserError, match="certificates/one.parquet has no row of the matrix V for b"):
        gaps.table(tmp_path, ["one"], [], THRESHOLDS)


@pytest.mark.parametrize(
    ("made_by", "name", "sentence"),
    [
        ("train", "noisy_test_loss", "no file of the stack one .* has the headline column noisy_test_loss"),
        ("spectra", "decay_rule", "spectra/one.parquet lacks the column decay_rule; delete it"),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path, known_analyses, made_by, name, sentence):
    fewer = {column: facts for column, facts in MADE[made_by].items() if column != name}
    write(tmp_path, "one", rows_of_a_stack(), MADE | {made_by: fewer})
    with pytest.raises(UserError, match=sentence):
        gaps.table(tmp_path, ["one"], [], THRESHOLDS)


def test_stacks_of_other_columns_are_refused(tmp_path, known_analyses):
    write(tmp_path, "one", rows_of_a_stack())
    more = MADE["bounds"] | {"later": HEADLINE}
    write(tmp_path, "two", rows_of_a_stack(), MADE | {"bounds": more})
    with pytest.raises(UserError, match=r"stacks one and two have different headline columns \(later\)"):
        gaps.table(tmp_path, ["one", "two"], [], THRESHOLDS)


def test_the_stage_writes_the_table_and_names_every_file_it_read(tmp_path, known_analyses, monkeypatch):
    write(tmp_path, "one", rows_of_a_stack(norm=math.pi))
    table, metadata = run_stage(monkeypatch, stage.main, tmp_path, "gaps", f"--status={json.dumps(THRESHOLDS)}")
    assert table["norm"].to_pylist() == [math.pi, math.pi]
    assert list(metadata["provenance"]["inputs"]) == list(map(str, gaps.sources(tmp_path, ["one"])))
    assert len(metadata["provenance"]["inputs"]) == 4
    more = ["--stacks-hash=other", "--status={}"]
    with pytest.raises(UserError, match="lists other stacks"):
        run_stage(monkeypatch, stage.main, tmp_path, "gaps", *more, stacks=["one", "two"])


def write_optima(folder, *rows):
    path = folder / "optima" / "toy.parquet"
    own = {**CELL_COLUMNS, **{name.removeprefix("optimum_"): one for name, one in gaps.PREDICTED.items()}}
    keys = ("dataset", "train_size", "split", "label_noise", "seed", "weight_decay")
    fields = schema({name: one for name, one in own.items() if name in keys or f"optimum_{name}" in gaps.PREDICTED})
    known = {"dataset": "toy", "train_size": 50, "split": 0, "label_noise": 0.0, "seed": None, "weight_decay": 0.1}
    table = pyarrow.Table.from_pylist([known | row for row in rows], schema=fields)
    files.write_parquet(path, table, {"provenance": {"stage": "optimum"}})
    return path


def test_a_cell_is_beside_the_minimiser_on_its_own_labels(tmp_path, known_analyses):
    write(tmp_path, "one", rows_of_a_stack())
    wrong = [
        {"weight_decay": 0.2},
        {"train_size": 49},
        {"split": 1},
        {"label_noise": 0.1},
        {"seed": 0},
        {"dataset": "other"},
    ]
    path = write_optima(tmp_path, {"residual_2": 0.3, "atoms": 4}, *({"residual_2": -1.0, **row} for row in wrong))
    rows = gaps.table(tmp_path, ["one"], [path], THRESHOLDS).to_pylist()
    assert [(row["optimum_residual_2"], row["optimum_atoms"]) for row in rows] == [(0.3, 4), (0.3, 4)]
    assert [row["optimum_effective_rank"] for row in rows] == [None, None]


def test_with_label_noise_the_minimiser_is_that_of_the_seed(tmp_path, known_analyses):
    stack = rows_of_a_stack()
    for table in ("spectra", "certificates"):
        stack[table] = [row | {"label_noise": 0.2} for row in stack[table]]
    write(tmp_path, "one", stack)
    noisy = [{"label_noise": 0.2, "seed": seed, "residual_2": seed + 0.5} for seed in (1, 0)]
    path = write_optima(tmp_path, *noisy, {"residual_2": 9.0})
    rows = gaps.table(tmp_path, ["one"], [path], THRESHOLDS).to_pylist()
    assert [row["optimum_residual_2"] for row in rows] == [0.5, 1.5]


@pytest.mark.parametrize("change", [{"optimizer": "adamw"}, {"decay_rule": "input-norm"}, {"activation": "gelu"}])
def test_a_cell_whose_decay_is_no_penalty_has_no_minimiser(change, tmp_path, known_analyses):
    stack = rows_of_a_stack()
    for table in ("spectra", "certificates"):
        stack[table] = [row | {name: value for name, value in change.items() if name in row} for row in stack[table]]
    write(tmp_path, "one", stack)
    path = write_optima(tmp_path, {"residual_2": 0.3})
    rows = gaps.table(tmp_path, ["one"], [path], THRESHOLDS).to_pylist()
    assert [row["optimum_residual_2"] for row in rows] == [None, None]
