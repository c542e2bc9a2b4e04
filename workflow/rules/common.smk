"""Reads and checks the config. Gives every rule file the study as RUN, and its folder as RESULTS."""

import os
import sys
import time
from pathlib import Path

ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
# Jobs run the package of this checkout, by the Python that runs Snakemake, whatever else is installed.
sys.path.insert(0, str(ROOT / "src"))
for variable, folder in (
    ("PYTHONPATH", ROOT / "src"),
    ("PATH", Path(sys.executable).parent),
):
    os.environ[variable] = os.pathsep.join(
        [str(folder), *filter(None, [os.environ.get(variable)])]
    )

from ranktwo.study.workflow import (
    check_files,
    hear_sigterm,
    pattern,
    read_config,
)

STARTED = time.time()
# A study is one file: --configfile replaces the default study. A workflow that uses this one as a module gives a config.
MODULE = workflow.modifier.skip_configfile
STUDY_FILES = [] if MODULE else list(workflow.overwrite_configfiles or [])
if not MODULE and not STUDY_FILES:
    STUDY_FILES = [
        "config.yaml" if Path("config.yaml").exists() else str(ROOT / "config.yaml")
    ]
check_files(STUDY_FILES)
if STUDY_FILES and not workflow.overwrite_configfiles:

    configfile: STUDY_FILES[0]


def runs() -> bool:
    """Whether this is the Snakemake that starts jobs: no dry run, and not the one that runs a single job."""
    return workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun


# Snakemake runs a job again if one of its parameters changes, unless the parameter's function takes `output`. So the
# parameter `identity` alone decides in every rule.
RUN = read_config(
    STUDY_FILES, config, runs, where="the module's config" if MODULE else ""
)
RESULTS = RUN.results

# Snakemake takes a limit of zero for no limit, and would start every training job at once on one GPU.
if workflow.global_resources.get("gpu").value == 0:
    sys.exit(
        "ranktwo: --resources gpu=0 limits nothing in Snakemake; give the number of GPUs, or set `device: cpu` in the config"
    )


wildcard_constraints:
    dataset=pattern(RUN.datasets),
    stack=pattern(RUN.stacks),
    analysis=pattern(RUN.analyses),
    figure=pattern(RUN.figures),
    table=pattern(RUN.tables),


def cores() -> int:
    """Cores among which stacks are shared. On a cluster each job has its own machine, and the profile says how many."""
    local = workflow.local_exec and not workflow.remote_exec
    return workflow.resource_settings.cores or 1 if local else 1


def every(template: str) -> list[str]:
    """The file of each stack, and of each analysis where the template names one."""
    return expand(template, results=RESULTS, stack=RUN.stacks, analysis=RUN.analyses)
