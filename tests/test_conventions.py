"""What others expect of a repository and a Snakemake workflow: files that name each other and the version."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support import ROOT

import ranktwo


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_citation_is_of_this_version():
    assert read("CITATION.cff")["version"] == ranktwo.__version__
    assert f"\n## {ranktwo.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_conda_file_and_the_container_build_from_the_lock():
    recipe = ROOT / "workflow" / "envs" / "ranktwo.yaml"
    [pip] = [part["pip"] for part in read(str(recipe))["dependencies"] if isinstance(part, dict)]
    [lock] = [Path(word) for word in pip[0].split()[1:]]
    # conda runs pip in the folder of the file.
    assert (recipe.parent / lock).resolve() == ROOT / "requirements.lock"
    steps = (ROOT / "workflow" / "envs" / "Dockerfile").read_text()
    assert re.search(
        r"^COPY requirements.lock .*\n(.*\n)*RUN pip install .*--requirement requirements.lock$", steps, re.MULTILINE
    )
    version = re.search(r"python:(3\.\d+)-slim", steps)[1]
    assert f"python={version}" in recipe.read_text()


@pytest.mark.parametrize("profile", ["profiles/default", "slurm"])
def test_a_profile_has_both_names(profile):
    """Snakemake before 9.19 knows config.yaml alone."""
    assert (ROOT / profile / "config.yaml").resolve() == ROOT / profile / "profile.yaml"


def test_github_runs_what_the_makefile_has_and_keeps_the_page():
    [job] = read(".github/workflows/ci.yml")["jobs"].values()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(job["strategy"]["matrix"]["make"]) <= set(targets)
    [kept] = [step["with"]["path"].split() for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert kept == ["results/report.html", "results/workflow.html"]


def test_git_keeps_the_page_on_results_and_nothing_else_there():
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    names = ["results/README.md", "results/gaps.parquet", "results/runs/one/history.parquet"]
    done = subprocess.run(["git", "check-ignore", "--no-index", *names], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == names[1:]
