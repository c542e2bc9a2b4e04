"""The reference pages: every column and key once, with its declaration."""

from ranktwo.report.reference import File, of_columns, of_config
from ranktwo.stages import reference
from ranktwo.store.columns import REAL, TEXT, column, schema
from ranktwo.study.axes import AXES

CELL = {"cell": column(TEXT, "Name of the training run.")}
SPECTRA = {
    "norm": column(REAL, "||W||.", headline=True),
    "step": column(REAL, "Steps taken.", unit="steps"),
}


def test_a_column_is_listed_in_the_first_file_that_has_it():
    files = [File("Every file", schema(CELL)), File("Spectra: a row for each cell", schema({**CELL, **SPECTRA}))]
    assert of_columns(files).splitlines() == [
        "## Every file",
        "",
        "| column | type | meaning |",
        "| --- | --- | --- |",
        "| `cell` | string | Name of the training run. |",
        "",
        "## Spectra: a row for each cell",
        "",
        "| column | type | unit | in gaps | meaning |",
        "| --- | --- | --- | --- | --- |",
        r"| `norm` | double |  | yes | \|\|W\|\|. |",
        "| `step` | double | steps |  | Steps taken. |",
    ]


def test_a_key_of_a_config_has_its_values_default_and_meaning():
    keys = [("steps", "a whole number", "required", "Number of steps."), ("note", "a | b", "", "Text.")]
    assert of_config(keys).splitlines() == [
        "| key | values | default | meaning |",
        "| --- | --- | --- | --- |",
        "| `steps` | a whole number | required | Number of steps. |",
        r"| `note` | a \| b |  | Text. |",
    ]


def test_the_stage_lists_every_column_once_and_says_what_it_means(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["reference", "columns"])
    reference.main()
    rows = [line.replace(r"\|", "/").split(" | ") for line in capsys.readouterr().out.splitlines() if "`" in line[:3]]
    names = [row[0].strip("| `") for row in rows]
    assert len(names) == len(set(names))
    # One of each file: cells, history, spectra, certificates, truncation, bounds, gaps, predictors, verdicts.
    some = {"seed", "train_loss", "singular_values", "vacuity_lower", "functional_rank", "margin", "status"}
    assert some | {"statistic", "rests_on"} <= set(names)
    assert all(row[-1].strip(" |") for row in rows)


def test_the_stage_lists_every_axis_of_a_grid(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["reference", "config"])
    reference.main()
    shown = capsys.readouterr().out
    assert all(f"| `grids[].{axis}` |" in shown for axis in AXES)
