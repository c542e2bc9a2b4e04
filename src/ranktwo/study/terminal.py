"""What a run of the whole study prints between its jobs' own lines: how far it is, in place of Snakemake's lines."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ranktwo.study import costs, plan
from ranktwo.study.workflow import Workflow

UNSAID_EVENTS = ("JOB_STARTED", "JOB_FINISHED", "PROGRESS", "RESOURCES_INFO")
UNSAID = ("Select jobs to execute", "Building DAG", "Using shell", "Complete log", "Elapsed time")
"""How lines of Snakemake begin that say nothing of the study; they stay in its log, .snakemake/log."""
OTHER_SECONDS = {"dataset": 4.0, "figure": 3.5}
"""CPU seconds of a job, as in `plan`, from the default study; START and one more where nothing is said."""
EVERY = 5.0
"""Seconds between two lines."""


def follow(snakemake: Any, study: Workflow) -> None:
    """Say how far the study is whenever Snakemake would say that a job has started or ended.

    Where Snakemake starts no jobs, prints by a plugin, or uses this workflow as a module, every line stays as it is.
    """
    logger = logging.getLogger("snakemake.logging")
    quiet = {level.name for level in snakemake.output_settings.quiet or ()}
    own = [handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"]
    if snakemake.modifier.skip_configfile or "ALL" in quiet or not own:
        return
    for handler in own:
        handler.addFilter(lambda record: not (study.starts_jobs and _unsaid(record)))
    logger.addHandler(_Progress(snakemake, study))


def _unsaid(record: logging.LogRecord) -> bool:
    return _event(record) in UNSAID_EVENTS or str(record.msg).startswith(UNSAID)


def _event(record: logging.LogRecord) -> str:
    return getattr(getattr(record, "event", None), "name", "")


class _Progress(logging.Handler):
    """Prints how many jobs are done, and how long the others will take if all go on as they did."""

    def __init__(self, snakemake: Any, study: Workflow) -> None:
        super().__init__()
        self._snakemake, self._study = snakemake, study
        self._work: dict[int, float] = {}
        """CPU seconds of each job by its number, without the target `all`, which does nothing."""
        self._done: set[int] = set()
        self._began = self._said = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        event = _event(record)
        if not self._study.starts_jobs or event not in ("JOB_STARTED", "JOB_FINISHED"):
            return
        if not self._work:
            jobs = [job for job in self._snakemake.dag.needrun_jobs() if job.rule.output]
            self._work = {job.jobid: seconds(job.rule.name, job.wildcards, self._study) for job in jobs}
            self._began = self._said = time.monotonic()
        if event == "JOB_FINISHED":
            self._done |= {record.job_id} & self._work.keys()  # type: ignore[attr-defined]
            now = time.monotonic()
            if now - self._said > EVERY and 0 < len(self._done) < len(self._work):
                self._said = now
                with contextlib.suppress(OSError):  # a terminal that is gone ends no study
                    print(self.line(now - self._began), file=sys.stderr, flush=True)

    def line(self, elapsed: float) -> str:
        """The line after so many seconds."""
        whole, done = (sum(self._work[job] for job in jobs) for jobs in (self._work, self._done))
        left = elapsed * (whole - done) / done
        share = f"{len(self._done)} of {len(self._work)} jobs done, {100 * done / whole:.0f} % of the work"
        return f"{share}, {duration(left)} left"


def duration(seconds: float) -> str:
    """About how long, in the unit that a person would choose."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def seconds(rule: str, wildcards: Any, study: Workflow) -> float:
    """About how many CPU seconds a job takes: at least those of its start."""
    estimates: dict[str, Callable[[], float]] = {
        "train": lambda: _of_stack(study, wildcards.stack, costs.training_seconds),
        "analysis": lambda: _of_stack(
            study, wildcards.stack, lambda stack: sum(costs.analysis_seconds(name, stack) for name in study.analyses)
        ),
        "optimum": lambda: _of_minimisers(study, wildcards.dataset),
    }
    known = estimates.get(rule, lambda: OTHER_SECONDS.get(rule, costs.START + 1))
    return max(costs.START, known())


def _of_minimisers(study: Workflow, dataset: str) -> float:
    data = plan.size(Path(study.results), dataset, study.study["datasets"][dataset])
    return costs.optimum_seconds(study.problems[dataset], data, study.study["optima"]) if data else costs.START


def _of_stack(study: Workflow, stack: str, estimate: Callable[[costs.Stack], float]) -> float:
    """An estimate of a stack; that of a short job where the data set is so unknown that there is none."""
    read = plan.read(study.job(stack), Path(study.results))
    return estimate(read) if read else costs.START
