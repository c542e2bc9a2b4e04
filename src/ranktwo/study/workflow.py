"""A study as the Snakefile needs it: its stacks, and for every job its identity, priority, processes and caption.

An **identity** is a short text that changes exactly if a job's result would: hashes of what the job is asked for, and
the fingerprint of the code that its numbers pass through. Snakemake runs a job again if its identity has changed.
"""

import itertools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from ranktwo.errors import SIGN, UserError
from ranktwo.store import files, provenance, registry
from ranktwo.store.canonical import canonical, ordered, short_hash
from ranktwo.store.fingerprints import fingerprint
from ranktwo.study import config as configuration
from ranktwo.study import grid, jobs, order, source_options
from ranktwo.study.axes import AXES, REGISTERED, REPLICATE, Cell
from ranktwo.study.problems import Problem, problems


def read_study(snakemake: Any, config: dict[str, Any], paths: list[str]) -> "Workflow":
    """The study that Snakemake has read from these files and merged into `config`.

    Ends Snakemake with one sentence where the study or an option of Snakemake is not as it should be.
    """
    try:
        if snakemake.global_resources.get("gpu").value == 0:
            raise UserError(
                "--resources gpu=0 limits nothing in Snakemake; give the number of GPUs, or set `device: cpu` in the "
                "config"
            )
        return Workflow(config, " and ".join(map(os.path.relpath, paths)) or "the module's config", snakemake)
    except UserError as error:
        sys.exit(f"{SIGN}{error}")


def hear_sigterm() -> None:
    """Have Snakemake's handler of SIGTERM run in a thread of its own; to be called when Snakemake starts jobs.

    In the main thread, the handler waits for ever if this thread holds Snakemake's lock: when Snakemake chooses jobs or
    notes that one has ended.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        signal.signal(signal.SIGTERM, lambda *of: threading.Thread(target=handler, args=of).start())


class Workflow:
    """One study, with every default filled in."""

    def __init__(self, config: dict[str, Any], where: str, snakemake: Any = None) -> None:
        """From a merged config; `where` says in errors and in provenance where it comes from.

        `snakemake` is Snakemake's own workflow; without it no job file is written and no job forced to run.
        """
        self._snakemake = snakemake
        self.study = configuration.read(config, where=where)
        self.stacks = grid.stacks(grid.expand(self.study["grids"]), self.study["stack"], self.study["datasets"])
        self.results = os.path.normpath(self.study["results"])
        files.check_folder(Path(self.results))
        self._label = canonical({"config": where, "hash": short_hash(self.study)})

    @property
    def starts_jobs(self) -> bool:
        """Whether this Snakemake is about to start jobs: it makes no dry run, and is not the one of a single job."""
        own = self._snakemake
        return bool(own and own.is_main_process and own.executor_plugin and not own.dryrun)

    @cached_property
    def datasets(self) -> list[str]:
        """The data sets that a cell is trained on."""
        return sorted({cells[0].dataset for cells in self.stacks.values()})

    @cached_property
    def analyses(self) -> list[str]:
        """The registered analyses of a stack, without those on demand."""
        return registry.analyses()

    def reads(self, figure: str) -> list[str]:
        """The tables that a figure reads beside gaps.parquet, by the stage or the analysis that makes them."""
        return registry.entries("figure")[self.drawn(figure)].settings.get("reads", [])

    def analyses_of(self, figure: str) -> list[str]:
        """The analyses that a figure reads."""
        return [name for name in self.reads(figure) if name in registry.entries("analysis")]

    @cached_property
    def on_demand(self) -> list[str]:
        """The analyses that are made because a figure reads them."""
        read = {table for figure in self.figures for table in self.reads(figure)}
        return sorted(read.intersection(registry.analyses(on_demand=True)))

    @cached_property
    def tables(self) -> list[str]:
        """The registered tables; one that stands beside a figure only where the study draws that figure."""
        drawn = {"", *map(self.drawn, self.figures)}
        return [name for name, entry in registry.entries("table").items() if entry.settings.get("beside", "") in drawn]

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The figures asked for, each with its settings."""
        return self.study["figures"]

    @property
    def data_folder(self) -> str:
        """The folder with sources that are not bundled."""
        return self.study["data_folder"] or os.environ.get("RANKTWO_DATA") or "data"

    @property
    def download(self) -> str:
        """The flag that says whether absent sources may be downloaded."""
        return "--download" if self.study["download"] else "--no-download"

    def own_files(self, dataset: str) -> list[str]:
        """The user's own files that a data set is made from."""
        return source_options.paths(self.study["datasets"][dataset])

    def dataset_of(self, stack: str) -> str:
        """The data set of a stack's cells."""
        return self.stacks[stack][0].dataset

    # Parts of the study as JSON, for a stage's arguments.

    def options(self, dataset: str) -> str:
        """The options of a data set."""
        return canonical(self.study["datasets"][dataset])

    def splits(self, dataset: str) -> str:
        """The numbers of a data set's splits, rising, with spaces between them."""
        found = {cell.split for cells in self.stacks.values() for cell in cells if cell.dataset == dataset}
        return " ".join(map(str, sorted(found)))

    def section(self, name: str) -> str:
        """A section of the config."""
        return canonical(self.study[name])

    def where(self, figure: str) -> str:
        """Which cells a figure draws."""
        return canonical(self.figures[figure]["where"])

    def plane(self, figure: str) -> str:
        """The axes and columns of a phase diagram; null of other figures."""
        return canonical(self.figures[figure].get("plane"))

    def figure_settings(self, figure: str) -> str:
        """The section of the config that a figure reads beside its own; null where it reads none."""
        section = configuration.section_of(self.drawn(figure), "settings")
        return canonical(self.study[section] if section else None)

    def drawn(self, figure: str) -> str:
        """The registered figure that an entry of the config asks for."""
        return self.figures[figure].get("draws", figure)

    @property
    def as_run(self) -> str:
        """The whole study, with its keys in the order in which a person expects them."""
        return ordered(self.study)

    # Identities.

    def dataset_identity(self, dataset: str) -> str:
        """Of a prepared data set."""
        options = self.study["datasets"][dataset]
        made_from = short_hash([options, *source_options.hashes(options).values()])
        code = fingerprint("dataset", source=options["source"])
        return _identity(options=made_from, splits=self.splits(dataset), code=code)

    def job(self, stack: str) -> jobs.Job:
        """What a stack's jobs are asked for."""
        cells = self.stacks[stack]
        options = self.study["datasets"][cells[0].dataset]
        asked = {name: self.study[name] for name in ("snapshots", "keep")}
        return jobs.Job(stack=stack, options=options, cells=cells, **asked)

    @cached_property
    def job_hashes(self) -> dict[str, str]:
        """The hash of each stack's job file."""
        return {stack: self.job(stack).hash for stack in self.stacks}

    def training_identity(self, stack: str) -> str:
        """Of a stack's training: its cells, and the code of the optimizer, net, schedule and so on of each."""
        chosen = {tuple(cell.functions().items()) for cell in self.stacks[stack]}
        code = [fingerprint("train", **dict(functions)) for functions in sorted(chosen)]
        return _identity(job=self.job_hashes[stack], code=" ".join(code))

    def analysis_identity(self, analysis: str, stack: str) -> str:
        """Of one analysis of a stack."""
        section = registry.entries("analysis")[analysis].settings.get("settings")
        settings = short_hash(self.study[section]) if section else "none"
        used = {
            mark: " ".join(sorted({getattr(cell, axis) for cell in self.stacks[stack]}))
            for axis, mark in REGISTERED.items()
        }
        code = fingerprint("analysis", analysis=analysis, **used)
        return _identity(job=self.job_hashes[stack], settings=settings, code=code)

    def analysis_identities(self, stack: str, *names: str) -> str:
        """Of these analyses of a stack, or all but those on demand, by name, as JSON."""
        return canonical({name: self.analysis_identity(name, stack) for name in names or self.analyses})

    @cached_property
    def analysis_settings(self) -> str:
        """The section of the config that each analysis reads, by name, as JSON."""
        sections = {name: entry.settings.get("settings") for name, entry in registry.entries("analysis").items()}
        return canonical({name: self.study[section] for name, section in sections.items() if section})

    @cached_property
    def problems(self) -> dict[str, list[Problem]]:
        """The decayed losses whose minimisers are asked for, by data set; without the data sets that have none."""
        cells: dict[str, list[Cell]] = {}
        for stacked in self.stacks.values():
            cells.setdefault(stacked[0].dataset, []).extend(stacked)
        splits = self.study["optima"]["splits"]
        found = {dataset: problems(cells[dataset], splits) for dataset in self.datasets}
        return {dataset: own for dataset, own in found.items() if own}

    def optimum_identity(self, dataset: str) -> str:
        """Of the minimisers of a data set: what is asked for, and how hard to search."""
        asked = [vars(problem) for problem in self.problems[dataset]]
        return self.identity("optimum", [asked, self.study["datasets"][dataset], self.study["optima"]])

    @cached_property
    def gaps_identity(self) -> str:
        """Of gaps.parquet: the cells of every stack, and the thresholds of a cell's status."""
        return _identity(
            stacks=short_hash(self.job_hashes), status=short_hash(self.study["status"]), code=fingerprint("gaps")
        )

    @property
    def layers_identity(self) -> str:
        """Of layers.parquet: the stacks that it reads."""
        return self.identity("layers", list(self.stacks))

    def figure_identity(self, figure: str) -> str:
        """Of a figure: its settings, the stacks that it reads, its caption and its code."""
        settings = short_hash([self.figures[figure], self.caption(figure), self.figure_settings(figure)])
        return _identity(
            stacks=short_hash(list(self.stacks)),
            settings=settings,
            code=fingerprint("figure", figure=self.drawn(figure)),
        )

    def table_identity(self, table: str) -> str:
        """Of a table."""
        return _identity(
            caption=short_hash(registry.entries("table")[table].text), code=fingerprint("table", table=table)
        )

    @cached_property
    def verdicts_identity(self) -> str:
        """Of the verdicts: their thresholds."""
        return self.identity("verdicts", self.study["verdicts"])

    @cached_property
    def study_identity(self) -> str:
        """Of the page of the config: the whole config."""
        return self.identity("study", self.study)

    def weights_identity(self, name: str) -> str:
        """Of the table of a file of weights: its path, and its content."""
        path = self.study["weights"][name]["path"]
        return self.identity("measure", [path, source_options.content(Path(path))])

    @cached_property
    def page_identity(self) -> str:
        """Of the page that is read first: the whole config, and the figures' titles and captions."""
        return self.identity("page", [self.study, self.captions])

    def identity(self, stage: str, settings: Any = None) -> str:
        """Of a stage that reads files and settings alone."""
        return _identity(settings=short_hash(settings), code=fingerprint(stage))

    # Files that are there already.

    def asked(self, rule: str) -> Callable[[Any], list[str]]:
        """An input function of a rule that has its job run if the job's file was made for something else.

        Snakemake knows what it made itself, by records in .snakemake. Where those are lost, or the folder was copied,
        moved, linked or written by another Snakemake, the file's own word counts. The function names no input.
        """
        rules: dict[str, tuple[str, Callable[[Any], str]]] = {
            "dataset": ("datasets/{dataset}.safetensors", lambda w: self.dataset_identity(w.dataset)),
            "on_demand": ("{analysis}/{stack}.parquet", lambda w: self.analysis_identity(w.analysis, w.stack)),
            "train": ("runs/{stack}/history.parquet", lambda w: self.training_identity(w.stack)),
            "optimum": ("optima/{dataset}.parquet", lambda w: self.optimum_identity(w.dataset)),
            "gaps": ("gaps.parquet", lambda w: self.gaps_identity),
            "layers": ("layers.parquet", lambda w: self.layers_identity),
            "verdicts": ("verdicts.parquet", lambda w: self.verdicts_identity),
            "predictors": ("predictors.parquet", lambda w: self.identity("predictors")),
            "measure": ("weights/{weights}.parquet", lambda w: self.weights_identity(w.weights)),
            "figure": ("figures/{figure}.png", lambda w: self.figure_identity(w.figure)),
            "table": ("tables/{table}.html", lambda w: self.table_identity(w.table)),
            "numbers": ("numbers.tex", lambda w: self.identity("numbers")),
            "study": ("study.yaml", lambda w: self.study_identity),
            "page": ("report.html", lambda w: self.page_identity),
        }
        analyses = [
            (f"{analysis}/{{stack}}.parquet", lambda w, name=analysis: self.analysis_identity(name, w.stack))
            for analysis in self.analyses
        ]

        def check(wildcards: Any) -> list[str]:
            for path_of, identity_of in analyses if rule == "analysis" else [rules[rule]]:
                path = f"{self.results}/{path_of.format(**wildcards)}"
                if provenance.identity_of(Path(path)) not in (None, identity_of(wildcards)):
                    self._force(path)
            return []

        return check

    def _force(self, path: str) -> None:
        """Have the job of a file run, as `--forcerun` does."""
        own = self._snakemake
        if own and own.is_main_process and own.dag is not None:
            own.dag.forcefiles.add(path)

    # Parameters of rules. Their functions take `output`, so that Snakemake runs no job again if they change.

    def label(self, wildcards: Any, output: Any) -> str:
        """For provenance: the config that a job was started for."""
        return self._label

    def job_file(self, wildcards: Any, output: Any) -> str:
        """The path of a stack's job file, which is written if jobs are about to be started."""
        if self.starts_jobs:
            jobs.write(Path(self.results), self.job(wildcards.stack))
        return str(jobs.path_of(Path(self.results), wildcards.stack))

    def job_hash(self, wildcards: Any, output: Any) -> str:
        """The hash that a stack's job file has to have."""
        return self.job_hashes[wildcards.stack]

    def stacks_file(self, wildcards: Any, output: Any) -> str:
        """The path of the list of stacks; it and all job files are written if jobs are about to be started."""
        if self.starts_jobs:
            for stack in self.stacks:
                jobs.write(Path(self.results), self.job(stack))
            jobs.write_stacks(Path(self.results), self.stacks)
        return str(jobs.list_of(Path(self.results)))

    def stacks_hash(self, wildcards: Any, output: Any) -> str:
        """The hash that the list of stacks has to have."""
        return short_hash(list(self.stacks))

    # Order and size of jobs.

    @cached_property
    def priorities(self) -> dict[str, int]:
        """Priority of each stack's training."""
        return order.priorities(self.stacks)

    @cached_property
    def steps(self) -> dict[str, int]:
        """Steps of all cells of each stack."""
        return {stack: sum(cell.steps for cell in cells) for stack, cells in self.stacks.items()}

    def processes(self, stack: str) -> int:
        """Processes that train or measure a stack: its share, by cells and steps."""
        return order.share(self.steps[stack] / sum(self.steps.values()), self._snakemake, len(self.stacks[stack]))

    def solvers(self, dataset: str) -> int:
        """Processes that find a data set's minimisers: its share, by problems."""
        own, every = len(self.problems[dataset]), sum(map(len, self.problems.values()))
        return order.share(own / every, self._snakemake, own)

    # What people read.

    def table_caption(self, table: str) -> str:
        """The caption of a table."""
        return registry.entries("table")[table].text

    def caption(self, figure: str) -> str:
        """The caption of a figure: its function's text after the title, and over how many runs its lines go."""
        entry = registry.entries("figure")[self.drawn(figure)]
        seen, _, meaning = entry.text.partition("\n\n")
        cells = self._cells_of(figure)
        splits, seeds = (len({getattr(cell, axis) for cell in cells}) for axis in REPLICATE)
        several = "seeds" if splits == 1 else "pairs of a split and a seed"
        counts = f"{splits} splits and " * (splits > 1) + f"{seeds} seed{'' if seeds == 1 else 's'}"
        tail = [f"It is drawn from cells of {counts}."]
        if entry.settings.get("replicates", True):
            tail.append(f"A panel says how many {several} (n) it shows.")
            if entry.settings.get("medians", True):
                tail.append("Lines are medians over them; bands reach from least to greatest.")
        return f"{meaning or seen}\n\n{' '.join(tail)}"

    def _cells_of(self, figure: str) -> list[Cell]:
        """The cells that a figure draws; all where only the data tell, as `full` may be asked for as 100."""
        kept = {
            axis: [grid.typed(AXES[axis], value) for value in (wanted if isinstance(wanted, list) else [wanted])]
            for axis, wanted in self.figures[figure]["where"].items()
        }
        cells = list(itertools.chain(*self.stacks.values()))
        return [cell for cell in cells if all(getattr(cell, axis) in own for axis, own in kept.items())] or cells

    @cached_property
    def captions(self) -> str:
        """The title and the caption of each figure, as JSON."""
        known = registry.entries("figure")
        return canonical({figure: [known[self.drawn(figure)].summary, self.caption(figure)] for figure in self.figures})

    def numbered(self, figure: str) -> str:
        """`03 ranks`: the report sorts by name, and readers go through figures in the config's order."""
        return f"{list(self.figures).index(figure) + 1:02d} {figure}"


def _identity(**parts: str) -> str:
    return ", ".join(f"{name} {text}" for name, text in parts.items())


def pattern(names: Iterable[str]) -> str:
    """A wildcard constraint: these names and no other."""
    return "|".join(map(re.escape, names)) or "(?!)"
