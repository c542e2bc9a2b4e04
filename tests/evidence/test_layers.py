"""One row per cell and matrix after training: its place in the net, its numbers, and how its cell ended."""

import math

import pytest
from evidence.stacks import CELLS, MADE, THRESHOLDS, rows_of_a_stack, run_stage, write

from ranktwo.errors import UserError
from ranktwo.evidence import gaps, layers
from ranktwo.stages import layers as stage
from ranktwo.store import files
from ranktwo.store.columns import REAL, REALS, TEXT, column
from ranktwo.store.records import CELL, MATRIX, SNAPSHOT
from ranktwo.study.axes import CELL_COLUMNS


def made(results, stacks=("one",)):
    """The table of made-up stacks."""
    return layers.table(results, list(stacks), gaps.table(results, list(stacks), [], THRESHOLDS))


def test_a_row_is_a_matrix_after_training_beside_how_its_cell_ended(tmp_path, known_analyses):
    write(tmp_path, "one", rows_of_a_stack(norm=0.01))
    table = made(tmp_path)
    rows = table.to_pylist()
    assert [(row["cell"], row["matrix"], row["depth"]) for row in rows] == [
        (cell, matrix, depth) for cell in CELLS for matrix, depth in (("V", 1), ("U", 2))
    ]
    assert [row["norm"] for row in rows] == [0.01, 100.0] * 2  # of the spectra, not of the certificates
    assert [row["rank_numpy"] for row in rows] == [3, 103] * 2
    assert [row["vacuity_upper"] for row in rows] == [7.0, 107.0, 7.5, 107.5]
    assert [row["residual_sample_rank"] for row in rows] == [0.25, 101 / 4] * 2
    assert {(row["step"], row["status"], row["test_accuracy"], row["nuclear_norm"]) for row in rows} == {
        (7, "collapsed", 0.9, 1.0)
    }
    shown = ["step", "norm", "nuclear_norm", "effective_rank", "residual_2", "rank_numpy", "critical_decay"]
    shown += ["vacuity_upper", "d_sample_rank"]
    assert table.column_names == [*CELL_COLUMNS, *MATRIX, *layers.COLUMNS, *layers.ENDS, *shown]
    declared = {**layers.COLUMNS, **MADE["spectra"]}
    for name in ("depth", "residual_sample_rank", "rank_numpy"):
        assert table.schema.field(name).metadata[b"description"].decode() == declared[name].meaning


def test_what_has_no_certificate_is_no_matrix_of_the_net(tmp_path, known_analyses):
    rows = rows_of_a_stack()
    product = [row | {"matrix": "product"} for row in rows["spectra"] if row["matrix"] == "V"]
    write(tmp_path, "one", rows | {"spectra": sorted(rows["spectra"] + product, key=lambda row: row["cell"])})
    found = [row for row in made(tmp_path).to_pylist() if row["matrix"] == "product"]
    assert [row["cell"] for row in found] == list(CELLS)
    for row in found:
        assert row["norm"] == 2 and row["status"] == "ok"
        assert {row[name] for name in ("depth", "vacuity_upper", "residual_sample_rank")} == {None}


def test_what_a_diverged_cell_ended_with_is_null(tmp_path, known_analyses):
    rows = rows_of_a_stack(norm=None, diverged=5)
    rows["certificates"] = [row | {"norm": None, "d_sample_rank": None} for row in rows["certificates"]]
    write(tmp_path, "one", rows)
    first = made(tmp_path).to_pylist()[0]
    assert (first["status"], first["depth"]) == ("diverged", 1)
    assert first["norm"] is None and first["residual_sample_rank"] is None
    rows["certificates"] = [row | {"norm": 0.0, "d_sample_rank": 0.0} for row in rows["certificates"]]
    write(tmp_path, "one", rows)
    assert made(tmp_path).to_pylist()[0]["residual_sample_rank"] is None


def test_an_analysis_of_every_matrix_that_is_new_arrives_without_its_lists(tmp_path, known_analyses):
    known_analyses("bounds", "certificates", "new-idea", "spectra")
    new = {
        **CELL,
        **SNAPSHOT,
        **MATRIX,
        "colour": column(TEXT, "Its colour."),
        "norm": column(REAL, "Another's name."),
        "all": column(REALS, "A list."),
    }
    rows = rows_of_a_stack()
    rows["new-idea"] = [
        {"cell": cell, "step": step, "matrix": matrix, "colour": f"{cell}{matrix}{step}", "norm": -1.0, "all": [1.0]}
        for cell in reversed(CELLS)
        for matrix in ("U", "V")
        for step in (0, 7)
    ]
    write(tmp_path, "one", rows, MADE | {"new-idea": new})
    table = made(tmp_path)
    assert table["colour"].to_pylist() == ["aV7", "aU7", "bV7", "bU7"]
    assert table["norm"].to_pylist() == [2.0, 100.0] * 2
    assert "all" not in table.column_names and "other" not in table.column_names


def test_stacks_stand_one_after_the_other(tmp_path, known_analyses):
    rows = rows_of_a_stack()
    write(tmp_path, "one", rows)
    twice = {name: [row | {"cell": row["cell"] * 2} for row in own] for name, own in rows.items()}
    write(tmp_path, "two", twice)
    assert made(tmp_path, ("two", "one"))["cell"].to_pylist() == ["aa", "aa", "bb", "bb", "a", "a", "b", "b"]


def test_rows_of_other_cells_are_refused(tmp_path, known_analyses):
    write(tmp_path, "one", rows_of_a_stack())
    cells = gaps.table(tmp_path, ["one"], [], THRESHOLDS)
    with pytest.raises(UserError, match=r"gaps.parquet has no row of b; run snakemake with `--forcerun gaps`"):
        layers.table(tmp_path, ["one"], cells.slice(0, 1))


def test_the_stage_writes_the_table_and_names_every_file_it_read(tmp_path, known_analyses, monkeypatch):
    write(tmp_path, "one", rows_of_a_stack(norm=math.pi))
    cells = gaps.table(tmp_path, ["one"], [], THRESHOLDS)
    files.write_parquet(tmp_path / "gaps.parquet", cells, {"provenance": {"stage": "gaps"}})
    table, metadata = run_stage(monkeypatch, stage.main, tmp_path, "layers", f"--gaps={tmp_path / 'gaps.parquet'}")
    assert table["norm"].to_pylist() == [math.pi, 100.0] * 2
    read = [tmp_path / "gaps.parquet", *layers.sources(tmp_path, ["one"])]
    assert list(metadata["provenance"]["inputs"]) == list(map(str, read)) and len(read) == 4
