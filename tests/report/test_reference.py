"""The reference pages: every column and key once, with its declaration."""

from ranktwo.report.reference import File, of_columns, of_config
from ranktwo.store.columns import REAL, TEXT, column, schema

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
