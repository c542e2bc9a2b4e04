"""The workflow as a part of another one: a second lab's, which uses it as a module with its own config and results."""

import subprocess
from pathlib import Path

import pandas
import pytest
import yaml
from support import ROOT, SMALL, environment, made, patience, planned, snakemake

LAB = """
configfile: "lab.yaml"


module nets:
    snakefile: {project}
    config: config["nets"]


use rule * from nets as nets_*


rule summary:
    input:
        "lab-results/gaps.parquet",
    output:
        "summary.csv",
    run:
        import pandas

        pandas.read_parquet(input[0])[["cell", "residual_2"]].to_csv(output[0], index=False)
"""
SOURCES = {
    "a Snakefile": "{checkout!r} '/Snakefile'",
    "the folder workflow": "{checkout!r} '/workflow/Snakefile'",
    "a tag of a repository": "gitfile({checkout!r}, path='workflow/Snakefile', tag='v1')",
}
"""How a lab names the workflow; the last is what `snakedeploy` writes, but for `gitfile`, which is `github` there."""
WHOLE = "a tag of a repository"
"""The way in which a lab's study is run whole."""
FIRST = "lab-results/datasets/digits-3v8.safetensors"
"""What is made in the other ways: one job is enough to see that it finds the package."""


def lab_of(folder: Path, checkout: Path, source: str, nets: dict) -> Path:
    """A lab that uses the workflow of a checkout, with a config for it."""
    lab = folder / "lab"
    lab.mkdir()
    (lab / "Snakefile").write_text(LAB.format(project=SOURCES[source].format(checkout=str(checkout))))
    (lab / "lab.yaml").write_text(yaml.safe_dump({"nets": nets}))
    return lab


def tagged(folder: Path) -> None:
    """Make a repository of a folder, with all that it holds under the tag v1."""
    who = ["-c", "user.name=A lab", "-c", "user.email=lab@example.org"]
    for command in (["init", "-q"], ["add", "--all"], [*who, "commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_another_workflow_uses_this_one_as_a_module_with_its_own_config_and_results(source, checkout, tmp_path):
    lab = lab_of(tmp_path, checkout, source, SMALL | {"results": "lab-results"})
    if source == WHOLE:
        tagged(checkout)
    target, result = ("summary", "summary.csv") if source == WHOLE else (FIRST, FIRST)
    command = ["snakemake", "--cores", "2", target]
    # Of a repository Snakemake fetches rules alone; the package is the one installed.
    environ = environment(**({"PYTHONPATH": str(ROOT / "src")} if source == WHOLE else {}))
    done = subprocess.run(command, cwd=lab, env=environ, capture_output=True, text=True, timeout=patience(60))
    assert done.returncode == 0, done.stderr
    assert (lab / result).exists()
    if source == WHOLE:
        assert len(pandas.read_csv(lab / result)) == 4
    again = subprocess.run([*command, "-n"], cwd=lab, env=environ, capture_output=True, text=True)
    assert planned(again) == {}
    assert made(checkout / "results") == []


def test_a_bad_config_of_a_module_is_one_sentence(checkout, tmp_path):
    lab = lab_of(tmp_path, checkout, "a Snakefile", SMALL | {"grid": []})
    done = snakemake(lab, "-n")
    assert done.returncode != 0
    assert "ranktwo: the module's config: grid is not a known key" in done.stderr
    assert "did you mean grids?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_snakefile_in_the_folder_workflow_is_the_same_workflow(finished_copy: Path):
    done = snakemake(finished_copy, "-s", "workflow/Snakefile", "-n", "--configfile", "study.yaml")
    assert planned(done) == {}
