"""Tables: intervals that are right, failures that are counted and not averaged."""

import numpy as np
import pandas
import pytest
from scipy import stats

from ranktwo.evidence.effects import Effect
from ranktwo.report.tables.grid import grid
from ranktwo.report.tables.results import results
from ranktwo.report.tables.tabulating import plus_minus
from ranktwo.report.tables.timing import timing
from ranktwo.stages import table
from ranktwo.store import registry


def shown(rows, column="test_loss"):
    """Mean, ends of the interval and number of nets of a column of results, in the first setting."""
    numbers = results(rows).numbers.iloc[0]
    return numbers[[column, f"{column}_low", f"{column}_high", "averaged"]].tolist()


def test_intervals_are_over_splits_of_means_over_seeds(make_gaps):
    def of_splits(*losses):
        return pandas.concat(
            make_gaps().assign(split=split, test_loss=lambda rows, loss=loss: loss + rows["seed"])
            for split, loss in enumerate(losses)
        )

    rows = of_splits(1.0, 2.0, 4.0)
    low, high = stats.t.interval(0.95, 2, loc=10 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert shown(rows) == pytest.approx([10 / 3, low, high, 9])
    # A split with fewer nets counts as much as another.
    fewer = rows[(rows["split"] > 0) | (rows["seed"] == 1)]
    assert shown(fewer) == pytest.approx([10 / 3, low, high, 7])
    assert shown(of_splits(1.0, 2.0)) == pytest.approx([2.5, np.nan, np.nan, 6], nan_ok=True)


def test_of_one_split_intervals_are_over_its_seeds_and_a_run_with_two_names_counts_once(make_gaps):
    rows = make_gaps()
    rows["test_loss"] = rows["seed"].map({0: 1.0, 1: 2.0, 2: 4.0})
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert shown(rows) == pytest.approx([7 / 3, low, high, 3])
    assert shown(pandas.concat([rows, rows.assign(cell="again")])) == pytest.approx([7 / 3, low, high, 3])


def test_collapsed_and_diverged_cells_are_counted_and_left_out_of_means(make_gaps):
    rows = make_gaps(mu1="diverged")
    rows.loc[rows["weight_decay"] == 1.0, "test_loss"] = 1e9
    one = (rows["weight_decay"] == 0.01) & (rows["seed"] == 0)
    rows.loc[one, ["status", "test_loss"]] = ["collapsed", 1e9]
    numbers = results(rows).numbers
    assert numbers["cells"].eq(3).all()
    assert numbers["test_loss"].max() < 10
    by = numbers.set_index(["batch_size", "weight_decay"])
    assert by.loc[(16, 1.0), "status"] == "3 diverged"
    assert np.isnan(by.loc[(16, 1.0), "test_loss"])
    assert by.loc[(16, 0.01), "status"] == "2 ok, 1 collapsed"
    assert by.loc[(16, 0.01), "averaged"] == 2
    chosen = rows[(rows["weight_decay"] == 0.001) & (rows["batch_size"] == 16)]
    assert by.loc[(16, 0.001), "test_loss"] == pytest.approx(chosen["test_loss"].mean())


def test_unfit_cells_are_averaged(make_gaps):
    numbers = results(make_gaps(mu1="unfit")).numbers
    unfit = numbers[numbers["weight_decay"] == 1.0]
    assert list(unfit["status"]) == ["3 unfit", "3 unfit"]
    assert list(unfit["averaged"]) == [3, 3]


def test_results_name_the_axes_that_differ_within_a_data_set_and_no_others(make_gaps):
    other = make_gaps().assign(dataset="other", learning_rate=0.5)
    made = results(pandas.concat([make_gaps(), other], ignore_index=True))
    assert list(made.text.columns[:5]) == ["data set", "B", "weight decay", "n", "status"]
    assert list(made.numbers.columns[:3]) == ["dataset", "batch_size", "weight_decay"]
    assert len(made.text) == 16


def test_scores_are_accuracies_or_in_regression_r2(make_gaps):
    rows = make_gaps()
    rows.loc[rows["batch_size"] == 50, ["train_accuracy", "test_accuracy"]] = None
    rows.loc[rows["batch_size"] == 50, ["train_r2", "test_r2"]] = [0.75, 0.5]
    scores = results(rows).numbers.set_index("batch_size")[["train_score", "test_score"]]
    assert (scores.loc[50] == [0.75, 0.5]).all(axis=None)
    assert scores.loc[16].notna().all(axis=None)


def test_timing_has_geometric_means_of_the_nets_that_reach_a_step_and_says_how_many(make_gaps):
    rows = make_gaps(mu1="collapsed")
    chosen = (rows["batch_size"] == 16) & (rows["weight_decay"] == 0.01)
    rows.loc[chosen, "generalization_step"] = [100, 1000, 10_000]
    rows.loc[chosen, "rank_fall_step"] = [10, 100, 1000]
    rows.loc[chosen, "output_rank_fall_step"] = [200, 500, None]
    rows.loc[chosen, "fit_step"] = None
    rows.loc[chosen, "residual_fall_step"] = [20, 200, 2000]
    rows.loc[chosen, "output_residual_fall_step"] = [0, 10, 1000]  # a step of 0 has no logarithm
    made = timing(rows)
    numbers = made.numbers.set_index(["batch_size", "weight_decay"]).loc[(16, 0.01)]
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert numbers["generalization_step"] == pytest.approx(1000) and numbers["generalization_step_n"] == 3
    ends = numbers[["generalization_step_low", "generalization_step_high"]].tolist()
    assert np.log10(ends).tolist() == pytest.approx([3 - half, 3 + half])
    ratio = numbers[["rank_fall_ratio", "rank_fall_ratio_low", "rank_fall_ratio_high"]].tolist()
    assert ratio == pytest.approx([0.1, 0.1, 0.1])
    assert numbers["output_rank_fall_ratio"] == pytest.approx(1) and numbers["output_rank_fall_ratio_n"] == 2
    assert np.isnan(numbers["output_rank_fall_ratio_low"]) and np.isnan(numbers["fit_step"])
    assert numbers["residual_fall_ratio"] == pytest.approx(0.2)
    assert numbers["output_residual_fall_ratio"] == pytest.approx(np.sqrt(0.01 * 0.1))
    assert numbers["output_residual_fall_ratio_n"] == 2
    line = made.text[(made.text["B"] == "16") & (made.text["weight decay"] == "0.01")].iloc[0]
    assert line["generalizes at step"].startswith("1e+03 [") and line["generalizes at step"].endswith("(3)")
    assert (line["fits at step"], line["U's over that of generalization"]) == ("-", "1 (2)")
    assert numbers[["initial_effective_rank", "effective_rank"]].tolist() == pytest.approx(
        rows.loc[chosen, ["initial_effective_rank", "effective_rank"]].mean().tolist()
    )
    first, last = (float(end) for end in line["effective rank of V"].split(" to "))
    assert (first, last) == pytest.approx(tuple(numbers[["initial_effective_rank", "effective_rank"]]), rel=0.01)
    assert first != last
    collapsed = made.numbers[made.numbers["weight_decay"] == 1.0]
    assert list(collapsed["status"]) == ["3 collapsed"] * 2
    assert (collapsed["cells"] == 3).all()
    assert (collapsed["averaged"] == 0).all() and collapsed["rank_fall_step"].isna().all()


def test_grid_lists_the_values_of_each_family(make_gaps):
    rows = make_gaps()
    text = grid(pandas.concat([rows, rows.assign(split=3)])).text
    assert list(text["B"]) == ["16", "50"]
    assert list(text["weight decays"]) == ["0 0.001 0.01 1"] * 2
    assert list(text["splits"]) == ["0 3"] * 2
    assert list(text["seeds"]) == ["0 1 2"] * 2
    assert list(text["cells"]) == ["24"] * 2


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.12345, 0.0123, "0.123 ± 0.012"),
        (52.345, 0.39, "52.34 ± 0.39"),
        (1.0, 0.0, "1 ± 0"),
        (8.54e-8, 3.21e-9, "8.54e-08 ± 3.2e-09"),
        (0.9625, 1e-16, "0.963 ± 0"),
        (1.234, np.nan, "1.23"),
        (np.nan, np.nan, "-"),
        (1234.5, 150.0, "1234 ± 150"),
    ],
)
def test_numbers_are_shown_to_two_digits_of_their_interval(mean, half, text):
    assert plus_minus(Effect(mean, mean - half, mean + half)) == text


def test_every_registered_table_is_made_by_the_stage_in_four_forms(make_gaps, run_on_rows):
    names = list(registry.entries("table"))
    assert {"results", "grid"} <= set(names)
    for name in names:
        made = run_on_rows(table, name, writes=("csv", "md", "tex", "html"), options={}, gaps=make_gaps())
        assert r"\toprule" in made["tex"]
        assert f"<h1>{name.capitalize()}</h1>" in made["html"]
        assert registry.entries("table")[name].summary in made["html"]
        assert made["md"].startswith("| data set") and made["csv"]
        origin = made["tex"].splitlines()[0].removeprefix("% ")
        assert origin.startswith("From 24 cells of gaps.parquet, values ")
        assert f"<!-- {origin} -->" in made["md"] and f"<small>{origin}</small>" in made["html"]


def test_the_numbers_of_results_are_in_the_csv_in_full(make_gaps, run_on_rows):
    made = run_on_rows(table, "results", writes=("csv", "md", "tex", "html"), options={}, gaps=make_gaps())
    assert "±" in made["md"] and r"$\pm$" in made["tex"] and "±" not in made["tex"]
    expected = results(make_gaps()).numbers
    lines = made["csv"].splitlines()
    assert lines[0] == ",".join(expected.columns)
    assert {"test_loss", "test_loss_low", "test_loss_high"} <= set(expected.columns)
    assert lines[1] == ",".join(map(str, expected.iloc[0]))
