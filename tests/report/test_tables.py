"""Tables: intervals that are right, failures that are counted and not averaged."""

import numpy as np
import pandas
import pytest
from scipy import stats
from test_figures import study

from ranktwo.report import pages
from ranktwo.report.tables import TABLES, interval, plus_minus
from ranktwo.stages import table



def test_interval_is_students():
    values = pandas.Series([1.0, 2.0, 4.0, None])
    mean, half, count = interval(values)
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert count == 3
    assert np.isnan(interval(pandas.Series([1.0]))[1])
    assert np.isnan(interval(pandas.Series([], dtype=float))[0])


def test_interval_covers_at_its_level():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        mean, half, _ = interval(pandas.Series(random.standard_normal(3)))
        hits += abs(mean) <= half
    assert 0.93 < hits / 2000 < 0.97


def test_collapsed_and_diverged_cells_are_counted_and_left_out_of_means():
    rows = study(mu1="diverged").gaps
    rows.loc[rows["weight_decay"] == 1.0, "test_loss"] = 1e9
    one = (rows["weight_decay"] == 0.01) & (rows["seed"] == 0)
    rows.loc[one, ["status", "test_loss"]] = ["collapsed", 1e9]
    numbers = TABLES["results"](rows).numbers
    assert numbers["cells"].eq(3).all()
    assert numbers["test_loss"].max() < 10
    by = numbers.set_index(["batch_size", "weight_decay"])
    assert by.loc[(16, 1.0), "status"] == "3 diverged"
    assert np.isnan(by.loc[(16, 1.0), "test_loss"])
    assert by.loc[(16, 0.01), "status"] == "2 ok, 1 collapsed"
    assert by.loc[(16, 0.01), "averaged"] == 2
    chosen = rows[(rows["weight_decay"] == 0.001) & (rows["batch_size"] == 16)]
    assert by.loc[(16, 0.001), "test_loss"] == pytest.approx(chosen["test_loss"].mean())


def test_grid_lists_the_values_of_each_family():
    text = TABLES["grid"](study().gaps).text
    assert list(text["B"]) == ["16", "50"]
    assert set(text["weight decays"]) == {"0 0.001 0.01 1"}
    assert set(text["cells"]) == {"12"}


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.12345, 0.0123, "0.123 ± 0.012"),
        (52.345, 0.39, "52.34 ± 0.39"),
        (1.0, 0.0, "1.0000 ± 0"),
        (1.234, np.nan, "1.23"),
        (np.nan, np.nan, "-"),
        (1234.5, 150.0, "1234 ± 150"),
    ],
)
def test_numbers_are_shown_to_two_digits_of_their_interval(mean, half, text):
    assert plus_minus(mean, half) == text


def test_latex_is_booktabs_with_plus_minus_in_mathematics(tmp_path, monkeypatch):
    path = tmp_path / "gaps.parquet"
    monkeypatch.setattr(tables.gaps, "read", lambda stage, path: study().gaps)
    files = [f"--{kind}={tmp_path / kind}" for kind in ("csv", "md", "tex", "html")]
    monkeypatch.setattr("sys.argv", ["tables", "results", f"--gaps={path}", *files])
    table.main()
    latex = (tmp_path / "tex").read_text()
    assert r"\toprule" in latex and r"$\pm$" in latex and "±" not in latex
    assert "±" in (tmp_path / "md").read_text()
    assert {"test_loss", "test_loss_low", "test_loss_high"} <= set(pandas.read_csv(tmp_path / "csv").columns)


def test_characters_that_latex_shows_as_others_are_commands():
    """In the default encoding | < > are a dash and two Spanish marks."""
    latex = pages.to_latex("1 cell", pandas.DataFrame({"remark": ["d_2/||V|| < 1 > 0"]}))
    assert r"d\_2/\textbar{}\textbar{}V\textbar{}\textbar{} \textless{} 1 \textgreater{} 0" in latex
