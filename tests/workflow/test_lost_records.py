"""Results whose records in .snakemake are lost or elsewhere: their own word says what they were made for."""

import shutil
from pathlib import Path

import pytest
from support import SMALL, gaps, make_gaps, planned, run_study, with_axis

pytestmark = pytest.mark.slow
AFTER_GAPS = {"layers": 1, "verdicts": 1, "predictors": 1, "figure": 1, "numbers": 1, "study": 1, "page": 1, "table": 2}
ALL = {"dataset": 1, "train": 1, "analysis": 1, "optimum": 1, "gaps": 1, **AFTER_GAPS}
STUDIES = {
    "the same study": (SMALL, {}),
    "a seed more": (with_axis("seed", [0, 1, 2]), {"train": 1, "analysis": 1, "gaps": 1, **AFTER_GAPS}),
    "a seed fewer": (with_axis("seed", [0]), {"train": 1, "analysis": 1, "gaps": 1, **AFTER_GAPS}),
    "another option of the data set": (
        SMALL | {"datasets": {"digits-3v8": {"source": "digits", "classes": [3, 8], "clip": 2}}},
        # The stack has another name, as its data are others.
        ALL,
    ),
    "another threshold of status": (SMALL | {"status": {"fit_linear": 0.8}}, {"gaps": 1, **AFTER_GAPS}),
    "another setting of bounds": (SMALL | {"bounds": {"delta": 0.1}}, {"analysis": 1, "gaps": 1, **AFTER_GAPS}),
    "another threshold of verdicts": (
        SMALL | {"verdicts": {"low_rank": 0.2}},
        {"verdicts": 1, "numbers": 1, "study": 1, "page": 1},
    ),
    "other cells in a figure": (
        SMALL | {"figures": {"spectrum": {"where": {"seed": 0}}}},
        {"figure": 1, "study": 1, "page": 1},
    ),
}


@pytest.mark.parametrize("change", STUDIES)
def test_a_study_whose_records_are_lost_runs_what_it_asks_for(change, finished_copy):
    study, jobs = STUDIES[change]
    shutil.rmtree(finished_copy / ".snakemake")
    assert planned(run_study(finished_copy, study, "-n")) == jobs


@pytest.mark.parametrize("spelling", ["./results", "{folder}/results", "link", "sub/../results"])
def test_a_results_folder_has_many_names_and_one_content(spelling, finished_copy):
    (finished_copy / "link").symlink_to("results")
    (finished_copy / "sub").mkdir()
    results = spelling.format(folder=finished_copy)
    # The config as it was run is another one, and its page says so.
    assert planned(run_study(finished_copy, SMALL | {"results": results}, "-n")) == {"study": 1, "page": 1}
    grown = with_axis("seed", [0, 1, 2]) | {"results": results}
    assert planned(run_study(finished_copy, grown, "-n"))["train"] == 1


def test_another_working_folder_finds_the_results_that_it_names(finished_copy, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    study = SMALL | {"results": str(finished_copy / "results")}
    assert planned(run_study(finished_copy, study, "-n", "-d", str(elsewhere))) == {"study": 1, "page": 1}
    changed = study | {"status": {"fit_linear": 0.8}}
    assert planned(run_study(finished_copy, changed, "-n", "-d", str(elsewhere)))["gaps"] == 1


def test_a_seed_more_without_records_ends_with_all_rows_and_then_nothing_is_to_be_done(finished_copy):
    shutil.rmtree(finished_copy / ".snakemake")
    first, study = gaps(finished_copy), with_axis("seed", [0, 1, 2])
    done = run_study(finished_copy, study)
    assert done.returncode == 0, done.stderr
    grown = gaps(finished_copy)
    assert sorted(set(grown["seed"])) == [0, 1, 2]
    assert grown.loc[first.index].equals(first)
    assert planned(run_study(finished_copy, study, "-n")) == {}


def test_a_file_of_another_study_put_in_place_is_made_anew(finished_copy: Path):
    """Snakemake's records say that all is well: the file itself says that it was made for something else."""
    other = make_gaps(finished_copy, SMALL | {"status": {"fit_linear": 0.8}})
    assert other.returncode == 0, other.stderr
    stolen = (finished_copy / "results" / "gaps.parquet").read_bytes()
    assert make_gaps(finished_copy, SMALL).returncode == 0
    (finished_copy / "results" / "gaps.parquet").write_bytes(stolen)
    assert planned(run_study(finished_copy, SMALL, "-n"))["gaps"] == 1
