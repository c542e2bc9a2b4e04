"""The real Snakemake on real studies: what a user types, what comes out, what runs again, what failures say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pandas
import pyarrow.parquet
import pytest
import torch
import yaml
from conftest import REAL_DATA, ROOT, needs_real
from test_gaps import REQUIRED

from ranktwo.store import files

SMALL = {
    "datasets": {"digits-3v8": {"source": "digits", "classes": [3, 8]}},
    "grids": [
        {
            "dataset": "digits-3v8",
            "widths": 16,
            "learning_rate": 0.1,
            "batch_size": 16,
            "weight_decay": [0, 0.3],
            "steps": 200,
            "seed": [0, 1],
        }
    ],
    "snapshots": 4,
    "figures": {"spectrum": None},
}


@pytest.fixture
def checkout(tmp_path) -> Path:
    return copy_project(tmp_path)


def copy_project(parent: Path) -> Path:
    """A copy of the project as a user gets it: what git tracks, as it is now, and no results."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0")[:-1] if listed.returncode == 0 else None
    folder = parent / "ranktwo"
    if names is None:
        ignored = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=ignored)
        return folder
    for name in names:
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def environment(**more: str) -> dict[str, str]:
    """The environment of a shell in which the installed environment is active."""
    # What a make above this process exports is no part of a user's shell.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return shell | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | more


def snakemake(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    command = ["snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=900)


def run_study(folder: Path, study: dict, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, *arguments, "--configfile", "study.yaml", **more)


def make_gaps(folder: Path, study: dict, *arguments: str) -> subprocess.CompletedProcess:
    """Run a study as far as its rows: all that is trained, and no figure."""
    return run_study(folder, study, *arguments, "results/gaps.parquet")


def trained(done: subprocess.CompletedProcess) -> list[int]:
    """Numbers of cells that each training job of a run says it trained."""
    assert done.returncode == 0, done.stderr
    return [int(count) for count in re.findall(r": (\d+) cells trained in", done.stderr)]


def test_data_come_first_and_then_the_longest_training(checkout):
    grid = SMALL["grids"][0]
    study = SMALL | {"grids": [grid, grid | {"batch_size": "full"}, grid | {"steps": 100}, grid | {"widths": 32}]}
    done = run_study(checkout, study, "-n", "--quiet", "progress")
    assert done.returncode == 0, done.stderr
    ranks = {}
    for job in re.split(r"^(?:local)?rule ", done.stdout, flags=re.MULTILINE)[1:]:
        rank = re.search(r"^ +priority: (\d+)", job, flags=re.MULTILINE)
        name = re.search(r"w\d+_sgd_b\w+?_t\d+", job) if job.startswith("train") else None
        ranks[name[0] if name else job.partition(":")[0]] = int(rank[1]) if rank else 0
    first = sorted(ranks, key=ranks.__getitem__, reverse=True)[:5]
    assert first == ["dataset", "w16_sgd_bfull_t200", "w32_sgd_b16_t200", "w16_sgd_b16_t200", "w16_sgd_b16_t100"]
    assert sum(rank > 0 for rank in ranks.values()) == 5


def gaps(folder: Path) -> pandas.DataFrame:
    return pandas.read_parquet(folder / "results" / "gaps.parquet").set_index("cell")


def check_chain(folder: Path) -> None:
    """The inequalities of the certificates, in every row of a study."""
    paths = sorted((folder / "results" / "certificates").iterdir())
    rows = pandas.concat([pandas.read_parquet(path) for path in paths])
    some = rows[rows["bound_upper"].notna() & (rows["norm"] > 0)]
    assert len(some)
    rounding = 1e-9 * some["sample_max"]
    constant = some[some["decay_rule"] == "constant"]
    chain = ["d_2", "d_1", "sample_min", "sample_max", "bound_lower", "bound_upper"]
    for less, more in zip(chain, chain[1:], strict=False):
        part = some if less in ("d_2", "d_1") else constant
        assert (part[less] <= part[more] + 1e-9 * part["sample_max"]).all(), (less, more)
    assert (some["d_2"] <= some["mean_residual_2"] + rounding).all()
    assert (some["weyl_gap"] <= some["weyl_slack"] + rounding).all()
    first = constant[constant["matrix"] == "V"]
    assert (first["data_floor"] <= first["vacuity_lower"] * (1 + 1e-9)).all()
    assert constant.loc[constant["matrix"] != "V", "data_floor"].isna().all()
    pairs = some[some["pair_bound"].notna()]
    assert (pairs["d_2"] <= pairs["pair_bound"] * (1 + 1e-9)).all()
    assert rows.loc[rows["weight_decay"] == 0, "null_reason"].str.contains("weight decay is zero").all()


def with_axis(axis: str, value: object) -> dict:
    return SMALL | {"grids": [SMALL["grids"][0] | {axis: value}]}


def test_default_study_by_make_figures_from_a_fresh_copy(checkout):
    """The main job: figures, tables, the columns, and the science that a wrong result would show in."""
    venv = Path(sys.prefix)
    command = ["make", "figures", f"VENV={venv}", "-o", str(venv / ".installed"), "CORES=2"]
    done = subprocess.run(command, cwd=checkout, env=environment(), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Figures: results/figures/")
    results = checkout / "results"
    names = yaml.safe_load((checkout / "config.yaml").read_text())["figures"]
    for name in names:
        image = matplotlib.image.imread(results / "figures" / f"{name}.png")
        assert image.std() > 0.05
        assert (results / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    for name in ("results", "grid"):
        assert r"\toprule" in (results / "tables" / f"{name}.tex").read_text()
    rows = gaps(checkout)
    assert set(REQUIRED) - {"cell"} <= set(rows.columns)
    assert 150 <= len(rows) <= 300
    assert set(rows["status"]) >= {"ok", "unfit", "collapsed"}

    clean = rows[rows["label_noise"] == 0]
    pair = clean[clean["dataset"] == "digits-3v8"].groupby("weight_decay")[["residual_2", "test_accuracy"]].median()
    assert pair.loc[0, "residual_2"] > 0.5
    assert ((pair["residual_2"] < 0.1) & (pair["test_accuracy"] >= 0.95)).any()
    ten = clean[(clean["dataset"] == "digits") & (clean["test_accuracy"] >= 0.9)]
    assert len(ten) >= 9
    assert ten["residual_2"].min() > 0.7
    for _, cells in clean[clean["status"] == "ok"].groupby("dataset"):
        medians = cells.groupby("weight_decay")["effective_rank"].median()
        assert medians.is_monotonic_decreasing or medians.iloc[0] > 2 * medians.iloc[-1]

    assert set(rows["task"]) == {"binary", "multiclass", "regression"}
    check_chain(checkout)

    verdicts = pandas.read_parquet(results / "verdicts.parquet")
    whole = verdicts[verdicts["headline"] & (verdicts["dataset"] == "overall")].set_index("claim")["verdict"]
    assert set(whole.index) == {"C1", "C2", "C3", "C4", "C5a", "C5b"}
    assert whole["C2"] == "supported"
    assert whole["C3"] == "contradicted"
    # C5 compares small differences, which another kind of CPU may move over a threshold.
    readme = (checkout / "README.md").read_text()
    for line in (results / "verdicts.md").read_text().split("\n\n")[0].splitlines():
        if not line.startswith("| C5"):
            assert line in readme, "put the first table of results/verdicts.md into README.md"

    again = snakemake(checkout)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_only_what_is_new_is_trained_and_old_rows_stay(checkout):
    assert trained(make_gaps(checkout, SMALL)) == [4]
    first = gaps(checkout)
    assert trained(make_gaps(checkout, SMALL)) == []
    assert trained(make_gaps(checkout, with_axis("seed", [0, 1, 2]))) == [2]
    grown = gaps(checkout)
    pandas.testing.assert_frame_equal(grown.loc[first.index], first, check_exact=True)
    assert trained(make_gaps(checkout, with_axis("weight_decay", [0, 0.3, 1.0]))) == [2]
    fewer = make_gaps(checkout, with_axis("weight_decay", 0.3))
    assert sum(trained(fewer)) == 0
    assert len(gaps(checkout)) == 2
    assert sum(trained(make_gaps(checkout, SMALL))) == 0
    pandas.testing.assert_frame_equal(gaps(checkout), first, check_exact=True)
    swapped = SMALL | {"grids": [SMALL["grids"][0] | {"learning_rate": 0.3, "weight_decay": [0, 0.1]}]}
    assert sum(trained(make_gaps(checkout, swapped))) == 4


def test_comments_and_touches_train_nothing_and_a_changed_step_trains_all(checkout):
    assert trained(make_gaps(checkout, SMALL)) == [4]
    optimizers = checkout / "src" / "ranktwo" / "optimizers.py"
    source = optimizers.read_text()
    assert "\nMOMENTUM = 0.9\n" in source
    optimizers.write_text(source.replace("\nMOMENTUM", "\n# A comment.\nMOMENTUM"))
    for path in (checkout / "src" / "ranktwo").glob("*.py"):
        path.touch()
    assert trained(make_gaps(checkout, SMALL)) == []
    optimizers.write_text(source.replace("MOMENTUM = 0.9", "MOMENTUM = 0.8"))
    assert trained(make_gaps(checkout, SMALL)) == [4]


def test_figures_follow_their_settings_alone(checkout):
    run_study(checkout, SMALL)
    study = SMALL | {"figures": {"spectrum": {"where": {"seed": 0}}}}
    done = run_study(checkout, study, "--dry-run")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
    assert jobs == {"all": "1", "figure": "1", "study": "1", "total": "3"}  # study.yaml holds the config


def test_a_diverged_cell_is_a_row_and_its_neighbour_is_none_the_wiser(checkout):
    study = with_axis("learning_rate", [0.1, 1e5])
    trained(run_study(checkout, study))
    rows = gaps(checkout)
    wild, calm = rows[rows["learning_rate"] == 1e5], rows[rows["learning_rate"] == 0.1]
    assert (calm["status"] != "diverged").all()
    assert (wild["status"] == "diverged").any()
    diverged = wild[wild["status"] == "diverged"]
    assert diverged["diverged_step"].notna().all()
    assert diverged[["train_loss", "norm", "effective_rank", "rank_numpy"]].isna().all(axis=None)
    table = (checkout / "results" / "tables" / "results.md").read_text()
    assert "diverged" in table


def test_every_axis_goes_through_the_whole_pipeline(checkout):
    grid = SMALL["grids"][0] | {
        "widths": [8, [8, 6]],
        "optimizer": ["momentum", "adamw"],
        "schedule": "cosine",
        "learning_rate": 0.01,
        "batch_size": "full",
        "label_noise": 0.25,
        "train_size": 100,
        "seed": 0,
    }
    figures = {"spectrum": {"where": {"widths": [[8, 6]], "batch_size": "full"}}, "gap": None, "ranks": None}
    done = run_study(checkout, SMALL | {"grids": [grid], "figures": figures})
    assert sorted(trained(done)) == [2, 2, 2, 2]
    rows = gaps(checkout)
    assert set(rows["widths"]) == {"8", "8-6"}
    assert set(rows["batch_size"]) == {100}
    assert rows["critical_decay"].notna().equals((rows["widths"] == "8") & (rows["optimizer"] == "momentum"))
    assert rows["rank_gavish_donoho"].isna().equals(rows["optimizer"] == "momentum")
    spectra = [pyarrow.parquet.read_table(path).to_pandas() for path in (checkout / "results" / "spectra").iterdir()]
    assert set(pandas.concat(spectra)["matrix"]) == {"V", "W2", "U"}


def test_damaged_files_are_said_put_aside_and_made_anew(checkout):
    """Truncated, flipped and deleted files in every folder; each run says one sentence a file, and repairs."""
    assert trained(make_gaps(checkout, SMALL)) == [4]
    results, first = checkout / "results", gaps(checkout)
    [spectra, history, dataset] = (
        next(results.glob(pattern)) for pattern in ("spectra/*", "runs/*/history.parquet", "datasets/*")
    )
    for path in (spectra, history, dataset, results / "gaps.parquet"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    next(results.glob("bounds/*")).unlink()
    said = ""
    for _ in range(6):
        done = make_gaps(checkout, SMALL, "--keep-going")
        said += done.stderr
        if done.returncode == 0:
            break
    assert done.returncode == 0, said
    assert "Traceback" not in said
    sentences = {line for line in said.splitlines() if line.startswith("ranktwo: ")}
    assert sentences
    assert all("put aside" in line for line in sentences), sentences
    pandas.testing.assert_frame_equal(gaps(checkout), first, check_exact=True)
    # A stage that was not run again has not read what was damaged; nothing that was read is left damaged.
    for path in results.rglob("*.damaged"):
        assert path.with_name(path.name.removesuffix(".damaged")).exists()


def test_a_folder_that_cannot_hold_results_is_one_sentence(checkout):
    done = run_study(checkout, SMALL | {"results": "README.md/results"})
    assert done.returncode != 0
    assert "ranktwo: results is README.md/results, but README.md is a file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_said_in_a_sentence_and_more_space_is_all_it_takes(checkout):
    disk = checkout / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        (checkout / "study.yaml").write_text(yaml.safe_dump(SMALL | {"results": "disk/results"}))
        done = snakemake(checkout, "disk/results/gaps.parquet", "--configfile", "study.yaml")
        assert done.returncode != 0
        assert "ranktwo: cannot write disk/results" in done.stderr
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(disk.rglob("*.tmp*"))
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        assert sum(trained(snakemake(checkout, "disk/results/gaps.parquet", "--configfile", "study.yaml"))) <= 4
        assert len(pandas.read_parquet(disk / "results" / "gaps.parquet")) == 4
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_results_copied_into_a_fresh_clone_train_nothing_and_every_axis_grows_alone(checkout, tmp_path):
    """Values added to axes that stack and to axes that split; a rank rule or a bound that is new trains nothing."""
    study = SMALL | {"stack": ["seed"]}
    assert sorted(trained(make_gaps(checkout, study))) == [2, 2]
    first, clone = gaps(checkout), tmp_path / "clone"
    shutil.copytree(checkout, clone, ignore=shutil.ignore_patterns(".snakemake", "results"))
    shutil.copytree(checkout / "results", clone / "results")
    assert sum(trained(make_gaps(clone, study))) == 0
    pandas.testing.assert_frame_equal(gaps(clone), first, check_exact=True)

    point = study["grids"][0]
    more = {"learning_rate": 0.2, "batch_size": 8, "widths": 8, "steps": 100, "label_noise": 0.1, "train_size": 99}
    grown = study | {"grids": [point, *(point | {axis: value} for axis, value in more.items())]}
    assert sorted(trained(make_gaps(checkout, grown))) == [2] * 2 * len(more)
    pandas.testing.assert_frame_equal(gaps(checkout).loc[first.index], first, check_exact=True)

    spectra, bounds = (checkout / "src" / "ranktwo" / f"{name}.py" for name in ("spectra", "bounds"))
    spectra.write_text(spectra.read_text().replace("def main", "NEW = 1\n\n\ndef main"))
    bounds.write_text(bounds.read_text().replace("def main", "NEW = 1\n\n\ndef main"))
    done = make_gaps(checkout, study, "--dry-run")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
    assert "train" not in jobs
    assert jobs["spectra"] == jobs["bounds"] == "2"


def test_a_result_is_repeated_from_the_provenance_it_carries(checkout):
    """The printed command, run elsewhere with the results moved away, gives the same numbers."""
    trained(make_gaps(checkout, SMALL))
    results, old = checkout / "results", checkout / "old"
    [weights] = results.glob("runs/*/weights.safetensors")
    made = [next(results.glob("datasets/*")), weights, *results.glob("spectra/*"), *results.glob("certificates/*")]
    made += [results / "gaps.parquet"]
    for path in made:
        done = subprocess.run(
            [sys.executable, "-m", "ranktwo.provenance", str(path.relative_to(checkout))],
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
        assert {"datasets"} <= set(origin["code"])
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
        [sys.executable, "-m", "ranktwo.provenance", "results/gaps.parquet", "results/gaps.txt"],
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    assert "has changed since" in done.stdout
    assert done.stderr.startswith("ranktwo: results/gaps.txt is damaged or was not written by ranktwo")


STAGES = sorted(
    path.stem for path in (ROOT / "src" / "ranktwo").glob("*.py") if 'if __name__ == "__main__":' in path.read_text()
)


@pytest.mark.parametrize("stage", STAGES)
def test_no_command_answers_bad_arguments_with_a_traceback(stage, tmp_path):
    (tmp_path / "junk").write_bytes(b"PAR1 junk")
    usage = subprocess.run([sys.executable, "-m", f"ranktwo.{stage}", "--help"], capture_output=True, text=True).stdout
    options = [
        name
        for name in re.findall(r"^  (--[\w-]+)[ ,]", usage, re.MULTILINE)
        if name not in ("--help", "--no-download")
    ]
    positional = ["junk"] if re.search(r"^  (config|file|name)", usage, re.MULTILINE) else []
    for value in ("junk", "{}"):
        arguments = [word for name in options for word in (name, value)]
        done = subprocess.run(
            [sys.executable, "-m", f"ranktwo.{stage}", *positional, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode == 0:
            break  # a command without arguments


BAD_CONFIGS = {
    "grids[0].weigth_decay is not a known key": with_axis("weigth_decay", 0.1),
    "grids[0].steps is 'many'": with_axis("steps", "many"),
    "grids[0].dataset is 'digits-3v9'": with_axis("dataset", "digits-3v9"),
    "10,000,000,000 cells": with_axis("seed", list(range(100_000)))
    | {"grids": [SMALL["grids"][0] | {"seed": list(range(100_000)), "steps": list(range(1, 50_001))}]},
}


@pytest.mark.parametrize("sentence", BAD_CONFIGS)
def test_a_bad_config_ends_in_one_sentence_and_leaves_nothing(checkout, sentence):
    done = run_study(checkout, BAD_CONFIGS[sentence])
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ranktwo: study.yaml: ")
    assert sentence in lines[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert not (checkout / "results").exists()


def test_absent_data_end_in_a_sentence_that_says_what_to_do(checkout):
    study = SMALL | {"datasets": {"digits-3v8": {"source": "mnist", "classes": [3, 8]}}, "data_folder": "nowhere"}
    done = run_study(checkout, study)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("ranktwo: ")]
    assert len(said) == 1
    assert "nowhere/MNIST/raw/train-images-idx3-ubyte" in said[0]
    assert "download" in said[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert not list((checkout / "results").rglob("*.safetensors*"))


@needs_real("MNIST/raw", "cal_housing_py3.pkz")
def test_a_slice_of_the_paper_study_on_the_real_data(checkout):
    """8,000 rows of the real files: California and MNIST's 3 against 8 fall to rank two, ten classes do not."""
    study = yaml.safe_load((checkout / "workflow" / "studies" / "paper.yaml").read_text())
    small = {"steps": 4000, "seed": [0], "widths": 64, "train_size": 8000}
    california, digits = study["grids"]
    study["grids"] = [
        california | small | {"weight_decay": [0, 0.2]},
        digits | small | {"dataset": "mnist-3v8", "weight_decay": [0, 0.2]},
        digits | small | {"dataset": "mnist", "weight_decay": [0, 0.01, 0.03]},
    ]
    study |= {"snapshots": 4, "results": "results"}
    done = run_study(checkout, study, RANKTWO_DATA=str(REAL_DATA))
    assert sorted(trained(done)) == [2, 2, 3]
    check_chain(checkout)
    for name in study["figures"]:
        assert matplotlib.image.imread(checkout / "results" / "figures" / f"{name}.png").std() > 0.05
    table = pandas.read_csv(checkout / "results" / "tables" / "results.csv")
    assert set(table["dataset"]) == {"california", "mnist", "mnist-3v8"}

    rows = gaps(checkout).reset_index().set_index(["dataset", "weight_decay"])
    assert (rows["status"] == "ok").all()
    assert (rows["train_size"] == 8000).all()
    assert rows["critical_decay"].notna().all()
    california, pair, ten = (rows.loc[name] for name in ("california", "mnist-3v8", "mnist"))
    assert (california["task"] == "regression").all()
    assert california.loc[0, "test_r2"] > 0.6
    assert california.loc[0, "residual_2"] > 0.5 > 0.1 > california.loc[0.2, "residual_2"]
    assert (pair["test_accuracy"] >= 0.95).all()
    assert pair.loc[0, "residual_2"] > 0.5 > 0.1 > pair.loc[0.2, "residual_2"]
    assert (ten["test_accuracy"] >= 0.9).all()
    assert (ten["residual_2"] > 0.7).all()
