"""The workflow as a part of another one: as a module with its own config, and included by workflow/Snakefile."""

import subprocess
from pathlib import Path

import pandas
import pytest
import yaml
from support import SMALL, environment, patience, planned, snakemake

LAB = """
configfile: "lab.yaml"


module nets:
    snakefile: "{project}/Snakefile"
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


@pytest.mark.slow
def test_another_workflow_uses_this_one_as_a_module_with_its_own_config_and_results(checkout, tmp_path):
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "Snakefile").write_text(LAB.replace("{project}", str(checkout)))
    (lab / "lab.yaml").write_text(yaml.safe_dump({"nets": SMALL | {"results": "lab-results"}}))
    command = ["snakemake", "--cores", "2", "summary"]
    done = subprocess.run(command, cwd=lab, env=environment(), capture_output=True, text=True, timeout=patience(60))
    assert done.returncode == 0, done.stderr
    assert len(pandas.read_csv(lab / "summary.csv")) == 4
    again = subprocess.run([*command, "-n"], cwd=lab, env=environment(), capture_output=True, text=True)
    assert planned(again) == {}
    assert not (checkout / "results").exists()


def test_a_bad_config_of_a_module_is_one_sentence(checkout, tmp_path):
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "Snakefile").write_text(LAB.replace("{project}", str(checkout)))
    (lab / "lab.yaml").write_text(yaml.safe_dump({"nets": SMALL | {"grid": []}}))
    done = snakemake(lab, "-n")
    assert done.returncode != 0
    assert "ranktwo: the module's config: grid is not a known key" in done.stderr
    assert "did you mean grids?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_snakefile_in_the_folder_workflow_includes_the_root_one(finished_copy: Path):
    (finished_copy / "workflow" / "Snakefile").write_text('include: "../Snakefile"\n')
    done = snakemake(finished_copy, "-s", "workflow/Snakefile", "-n", "--configfile", "study.yaml")
    assert planned(done) == {}
