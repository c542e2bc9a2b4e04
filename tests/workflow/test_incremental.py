"""What runs again after a change, and what does not: jobs of the real Snakemake, counted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest
import torch
from support import SMALL, environment, gaps, make_gaps, planned, run_study, trained, with_axis

from ranktwo.store import files


@pytest.mark.slow
def test_only_what_is_new_is_trained_and_old_rows_stay(finished_copy):
    checkout = finished_copy
    first = gaps(checkout)
    assert trained(make_gaps(checkout, SMALL)) == []
    assert trained(make_gaps(checkout, with_axis("seed", [0, 1, 2]))) == [2]
    grown = gaps(checkout)
    pandas.testing.assert_frame_equal(grown.loc[first.index], first, check_exact=True, check_dtype=False)
    assert trained(run_study(checkout, with_axis("weight_decay", [0, 0.3, 1.0]), "--until", "train")) == [2]
    fewer = make_gaps(checkout, with_axis("weight_decay", 0.3))
    assert sum(trained(fewer)) == 0
    assert len(gaps(checkout)) == 2
    assert sum(trained(make_gaps(checkout, SMALL))) == 0
    pandas.testing.assert_frame_equal(gaps(checkout), first, check_exact=True)
    swapped = SMALL | {"grids": [SMALL["grids"][0] | {"learning_rate": 0.3, "weight_decay": [0, 0.1]}]}
    assert sum(trained(run_study(checkout, swapped, "--until", "train"))) == 4


@pytest.mark.slow
def test_a_split_that_is_added_is_trained_and_the_old_one_stays(finished_copy):
    checkout = finished_copy
    first = gaps(checkout)
    optima = checkout / "results" / "optima" / "digits-3v8.parquet"
    minimisers = optima.read_bytes()
    assert trained(make_gaps(checkout, with_axis("split", [0, 1]))) == [4]
    grown = gaps(checkout)
    pandas.testing.assert_frame_equal(grown.loc[first.index], first, check_exact=True, check_dtype=False)
    added = grown[grown["split"] == 1]
    assert len(added) == 4 and added["optimum_residual_2"].isna().all() and first["optimum_residual_2"].notna().any()
    penalised = grown[grown["weight_decay"] > 0]
    assert (penalised.groupby("split")["critical_decay"].nunique() == 1).all()
    assert penalised["critical_decay"].nunique() == 2
    assert optima.read_bytes() == minimisers
    assert planned(run_study(checkout, with_axis("split", [0, 1]), "-n", "results/gaps.parquet")) == {}


PACKAGE = Path("src") / "ranktwo"
AFTER_GAPS = {"layers": 1, "verdicts": 1, "predictors": 1, "figure": 1, "numbers": 1, "study": 1, "page": 1, "table": 2}
AFTER_TRAINING = {"analysis": 1, "gaps": 1, **AFTER_GAPS}
OPTIMIZER = """from ranktwo.training.optimizers.base import optimizer


@optimizer("signed", slots=0, decay="decoupled")
def signed(*arguments):
    raise NotImplementedError
"""
SOURCE = """from ranktwo.data.sources.base import source


@source("empty")
def _empty(name, folder, download):
    raise NotImplementedError
"""
RULE = """

@rule
def half(spectra: Spectra) -> Array:
    return above(spectra.s, 0.5 * spectra.s[:, 0])
"""
FIGURE = """from ranktwo.report.drawing.data import Data, figure


@figure
def another(data: Data):
    raise NotImplementedError
"""
SCHEDULE = """

@schedule
def halved(t, steps):
    return np.full(len(t), 0.5)
"""
DECAY_RULE = """

@decay_rule("twice")
def twice(x):
    return 2 * constant(x)
"""


def edited(file: str, old: str, new: str) -> tuple[str, str, str]:
    return (str(PACKAGE / file), old, new)


NOTHING_RUNS = {
    "a comment in training": edited("training/stack.py", "\nclass Stack:", "\n# A comment.\nclass Stack:"),
    "a docstring in training": edited("training/recording.py", '"""', '"""Words. '),
    "the time between checkpoints": edited("training/checkpoints.py", "SHARE = 0.05", "SHARE = 0.06"),
    "a column's description": edited("analysis/spectra.py", "Frobenius norm", "The Frobenius norm"),
    "an axis' help": edited("study/axes.py", "Learning rate eta", "The learning rate eta"),
    "an added source": edited("data/sources/empty.py", "", SOURCE),
    "an added optimizer": edited("training/optimizers/signed.py", "", OPTIMIZER),
    "an added schedule": edited("study/schedules.py", "", SCHEDULE),
    "an added decay rule": edited("data/decay_rules.py", "", DECAY_RULE),
    "an added figure": edited("report/figures/another.py", "", FIGURE),
    "another figure's code": edited("report/figures/ranks.py", "panels(data, 2)", "panels(data, 4)"),
    "another optimizer": edited("training/optimizers/adamw.py", "", "\n\nUNUSED = 1\n"),
}  # fmt: skip
SOME_RUNS = {
    "what training records": (
        edited("training/recording.py", ".double()", ".float().double()"), {"train": 1, **AFTER_TRAINING}
    ),
    "a training step": (
        edited("training/stack.py", "np.arange(first, first + count)", "np.arange(first, first + count, 1)"),
        {"train": 1, **AFTER_TRAINING},
    ),
    "a comment in the kernel of a GPU": (edited("training/backends/gpu.cu", "", "\n// A comment.\n"), {}),
    "the kernel of a GPU": (edited("training/backends/gpu.cu", "", "\nint x;\n"), {"train": 1, **AFTER_TRAINING}),
    "a rank rule": (
        edited("analysis/ranks.py", "", RULE), {"analysis": 1, "gaps": 1, **AFTER_GAPS}
    ),
    "a figure's caption": (
        edited("report/figures/spectrum.py", "a line for each weight decay", "one line for each weight decay"),
        {"figure": 1, "page": 1},
    ),
    "a figure's code": (edited("report/figures/spectrum.py", "left=0", "left=-1"), {"figure": 1, "page": 1}),
    "the style": (edited("report/drawing/style.mplstyle", "", "\naxes.labelcolor: blue\n"), {"figure": 1, "page": 1}),
}  # fmt: skip


def apply(folder: Path, edit: tuple[str, str, str]) -> None:
    """Make an edit of the package in a copy of the project."""
    name, old, new = edit
    path = folder / name
    text = path.read_text() if path.exists() else ""
    assert old in text, f"{name} has no {old!r}; the test has to follow the code"
    path.write_text(text.replace(old, new, 1) if old else text + new)


def test_nothing_runs_after_nothing_and_after_a_touch_of_every_file(finished_copy):
    assert planned(run_study(finished_copy, SMALL, "-n")) == {}
    for path in [*(finished_copy / PACKAGE).rglob("*.*"), *(finished_copy / "workflow").rglob("*.*")]:
        path.touch()
    assert planned(run_study(finished_copy, SMALL, "-n")) == {}


@pytest.mark.parametrize("change", NOTHING_RUNS)
@pytest.mark.slow
def test_nothing_runs_after_a_change_that_no_number_passes_through(change, finished_copy):
    apply(finished_copy, NOTHING_RUNS[change])
    assert planned(run_study(finished_copy, SMALL, "-n")) == {}


@pytest.mark.parametrize("change", SOME_RUNS)
def test_what_a_change_of_code_runs(change, finished_copy):
    edit, jobs = SOME_RUNS[change]
    apply(finished_copy, edit)
    assert planned(run_study(finished_copy, SMALL, "-n")) == jobs


CONFIGS = {
    "a seed added": (with_axis("seed", [0, 1, 2]), {"train": 1, **AFTER_TRAINING}),
    "a figure's setting": (
        SMALL | {"figures": {"spectrum": {"where": {"seed": 0}}}},
        {"figure": 1, "study": 1, "page": 1},
    ),
    "a figure more": (SMALL | {"figures": {"spectrum": None, "ranks": None}}, {"figure": 1, "study": 1, "page": 1}),
    "a figure with an analysis of its own": (
        SMALL | {"figures": {"spectrum": None, "neural-collapse": None}},
        {"on_demand": 1, "figure": 1, "study": 1, "page": 1},
    ),
    "a threshold of status": (SMALL | {"status": {"fit_linear": 0.8}}, {"gaps": 1, **AFTER_GAPS}),
    "a threshold of verdicts": (
        SMALL | {"verdicts": {"low_rank": 0.2}},
        {"verdicts": 1, "numbers": 1, "study": 1, "page": 1},
    ),
    "a setting of bounds": (SMALL | {"bounds": {"delta": 0.1}}, {"analysis": 1, "gaps": 1, **AFTER_GAPS}),
    "seconds between checkpoints": (SMALL | {"checkpoint": 10}, {"study": 1, "page": 1}),
}


@pytest.mark.parametrize("change", CONFIGS)
@pytest.mark.slow
def test_what_a_change_of_the_config_runs(change, finished_copy):
    study, jobs = CONFIGS[change]
    assert planned(run_study(finished_copy, study, "-n")) == jobs


def test_a_dry_run_writes_nothing(checkout):
    def files_there() -> set[Path]:
        return {path for path in checkout.rglob("*") if not {".snakemake", "__pycache__"} & set(path.parts)}

    before = files_there()
    assert planned(run_study(checkout, SMALL, "-n"))["train"] == 1
    assert files_there() - before == {checkout / "study.yaml"}


@pytest.mark.slow
def test_a_changed_step_trains_all_cells_again(finished_copy):
    sgd = finished_copy / PACKAGE / "training" / "stack.py"
    sgd.write_text(sgd.read_text().replace("np.arange(first, first + count)", "np.arange(first, first + count, 1)"))
    assert trained(run_study(finished_copy, SMALL, "--until", "train")) == [4]


@pytest.mark.slow
def test_results_copied_into_a_fresh_clone_train_nothing_and_axes_grow_alone(checkout, tmp_path):
    """A value added to an axis that stacks by default, and one to an axis that never does."""
    study = with_axis("weight_decay", 0.3) | {"stack": ["seed"]}
    assert trained(make_gaps(checkout, study)) == [2]
    first, clone = gaps(checkout), tmp_path / "clone"
    shutil.copytree(checkout, clone, ignore=shutil.ignore_patterns(".snakemake", "results"))
    shutil.copytree(checkout / "results", clone / "results", dirs_exist_ok=True)
    assert sum(trained(make_gaps(clone, study))) == 0
    pandas.testing.assert_frame_equal(gaps(clone), first, check_exact=True)

    point = study["grids"][0]
    more = {"learning_rate": 0.2, "widths": 8}
    grown = study | {"grids": [point, *(point | {axis: value} for axis, value in more.items())]}
    assert trained(make_gaps(checkout, grown)) == [2] * len(more)
    # A rule that is null in a new cell alone makes its whole numbers floats.
    pandas.testing.assert_frame_equal(gaps(checkout).loc[first.index], first, check_exact=True, check_dtype=False)


@pytest.mark.slow
def test_a_result_is_repeated_from_the_provenance_it_carries(finished_copy):
    """The printed command, run elsewhere with the results moved away, gives the same numbers."""
    checkout = finished_copy
    results, old = checkout / "results", checkout / "old"
    [weights] = results.glob("runs/*/weights.safetensors")
    made = [next(results.glob("datasets/*")), weights, *results.glob("spectra/*"), *results.glob("certificates/*")]
    made += [results / "gaps.parquet"]
    for path in made:
        done = subprocess.run(
            [sys.executable, "-m", "ranktwo", "provenance", str(path.relative_to(checkout))],
            cwd=checkout,
            env=environment(PYTHONPATH=str(checkout / "src")),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        metadata = files.read_metadata(path)
        origin = metadata["provenance"]
        assert "all as they were" in done.stdout
        assert origin["study"]["config"] == "study.yaml"
        assert len(origin["datasets"]["digits-3v8"]) == 64
        assert {"dataset"} <= set(origin["code"])
        assert origin["started"] < "2100"
        assert origin["seconds"] > 0
        [line] = [line for line in done.stdout.splitlines() if line.startswith("  to repeat")]
        old.mkdir(exist_ok=True)
        path.rename(old / path.name)
        history = weights.with_name("history.parquet")
        if path == weights:
            history.rename(old / history.name)
        command = line.removeprefix("  to repeat").strip()
        env = environment(PYTHONPATH=str(checkout / "src"))
        again = subprocess.run(command, shell=True, cwd=checkout, env=env, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        if path.suffix == ".parquet":
            one, other = (pyarrow.parquet.read_table(at).replace_schema_metadata() for at in (path, old / path.name))
            assert one.equals(other)
        else:
            one, other = (files.read_tensors(at)[0] for at in (path, old / path.name))
            assert one.keys() == other.keys()
            assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())
        for name in (path, history) if path == weights else (path,):
            (old / name.name).replace(name)  # a repeated file has other times and so another hash
    path.with_suffix(".txt").write_text("mine")
    next(results.glob("spectra/*")).write_bytes(b"other")
    done = subprocess.run(
        [sys.executable, "-m", "ranktwo", "provenance", "results/gaps.parquet", "results/gaps.txt"],
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    assert "has changed since" in done.stdout
    assert done.stderr.startswith("ranktwo: results/gaps.txt is damaged or was not written by ranktwo")
