"""Reads and checks the config. Gives every rule file the study as RUN, and its folder as RESULTS."""

import os
import sys
import time
from pathlib import Path

ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
# Jobs run by the Python that runs Snakemake, with the package of this checkout, whatever else is installed. Where another
# workflow has fetched only the rules, it is the installed package.
paths = {"PATH": Path(sys.executable).parent}
if (ROOT / "src").is_dir():
    sys.path.insert(0, str(ROOT / "src"))
    paths["PYTHONPATH"] = ROOT / "src"
for variable, folder in paths.items():
    os.environ[variable] = os.pathsep.join(
        [str(folder), *filter(None, [os.environ.get(variable)])]
    )
# It would take the docstrings away from jobs, which say what columns mean.
os.environ.pop("PYTHONOPTIMIZE", None)

try:
    from ranktwo.study.closing import closing, failed
    from ranktwo.study.given import study_files
    from ranktwo.study.terminal import follow
    from ranktwo.study.workflow import hear_sigterm, pattern, read_study
except ModuleNotFoundError as error:
    sys.exit(
        f"ranktwo: the Python that runs Snakemake ({sys.executable}) has no module {error.name}; install ranktwo there: "
        "pip install -r requirements.lock, then pip install --no-deps . in a clone of it"
    )

STARTED = time.time()
FILES = study_files(workflow, ROOT)
if FILES and not workflow.overwrite_configfiles:

    configfile: FILES[0]


# Snakemake runs a job again if one of its parameters changes, unless the parameter's function takes `output`. So the
# parameter `identity` alone decides in every rule.
RUN = read_study(workflow, config, FILES)
RESULTS = RUN.results
follow(workflow, RUN)


wildcard_constraints:
    dataset=pattern(RUN.datasets),
    stack=pattern(RUN.stacks),
    figure=pattern(RUN.figures),
    table=pattern(RUN.tables),
    weights=pattern(RUN.study["weights"]),
    analysis=pattern(RUN.on_demand),


def every(template: str, analyses: list[str] = RUN.analyses) -> list[str]:
    """The file of each stack, and of each of these analyses where the template names one."""
    return expand(template, results=RESULTS, stack=RUN.stacks, analysis=analyses)


def read_by(table, paths):
    """The files of a table, as inputs of the figures that read it."""
    return lambda wildcards: paths if table in RUN.reads(wildcards.figure) else []


# The minimisers of each data set that has two-layer nets whose decay is a penalty.
OPTIMA = expand(
    "{results}/optima/{dataset}.parquet", results=RESULTS, dataset=RUN.problems
)
