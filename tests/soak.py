"""A soak: kills, damaged files and random configs, and whether every number is right in the end.

    python tests/soak.py --rounds 500

A round runs one of two small studies, kills Snakemake's whole process group at a random moment, and looks whether
every cell has kept the steps that it had. The next round starts the same command again. A run that ends before its kill
has all its files compared with those of an undisturbed run: pages and figures by their bytes, Parquet files by their
tables, safetensors files by their tensors. Then some results are deleted, or the other study is taken, in the same
folder of results or in another.

Now and then a finished folder has some files damaged first. It must come back to the same bytes in a few runs, each of
which ends well or says in a sentence what is wrong. And between runs, random changes of a study's config must each give
a plan or one sentence.

The seed is printed. The same seed draws the same rounds, as far as the machine's speed allows. The exit status is 1 if
anything went wrong, and the folder that a line names then has what was run.
"""

import argparse
import collections
import contextlib
import copy
import datetime
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.compute
import pyarrow.parquet
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from snakemake.common.configfile import load_configfile
from support import SMALL, copy_project, environment

from ranktwo.errors import SIGN, UserError
from ranktwo.store import files, records
from ranktwo.study import config as configuration
from ranktwo.study.workflow import Workflow

POINT = SMALL["grids"][0] | {"steps": 40_000}
STUDIES = {
    "one": SMALL | {"checkpoint": 0, "grids": [POINT], "figures": {"spectrum": None}},
    "two": SMALL
    | {
        "checkpoint": 0.2,
        "grids": [
            POINT | {"weight_decay": [0.3, 1], "seed": [1, 2]},
            POINT | {"optimizer": "adamw", "learning_rate": 0.01, "batch_size": 50, "steps": 2000, "seed": 0},
        ],
        "figures": {"ranks": {"width": "column"}},
    },
}
"""Two studies; half of the cells of one stack are in both."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LONGEST_RUN, LONGEST_STOP, LONGEST_CONFIG = 600, 120, 60
"""Seconds after which a run, its end after a signal, or the check of a config counts as hung."""
MOST_RUNS = 8
"""Runs in which a folder with damaged files has to be whole again."""
LOCKED = "Directory cannot be locked"
"""What Snakemake says where one was killed before it could give its folder free."""


# ---- What is compared ------------------------------------------------------------------------------------------------


def contents(results: Path, like: Path) -> dict[str, bytes]:
    """What a results folder holds, by name: bytes of files, of Parquet files' tables, of each cell's tensors and rows.

    Files that the folder `like` does not have are another study's, and left out.
    Left out is what tells of the run and not of numbers: logs, times, provenance.
    """
    found: dict[str, bytes] = {}
    for path in sorted(results.rglob("*.*")):
        name = str(path.relative_to(results))
        if not (like / name).exists():
            continue
        if path.name == "history.parquet":
            table = pyarrow.parquet.read_table(path)
            for cell in pyarrow.compute.unique(table["cell"]).to_pylist():
                rows = table.filter(pyarrow.compute.equal(table["cell"], cell))
                found[f"{name}/{cell}"] = _bytes(rows)
        elif path.suffix == ".parquet":
            found[name] = _bytes(pyarrow.parquet.read_table(path))
        elif path.name == "weights.safetensors" or path.parent.name == "datasets" and path.suffix == ".safetensors":
            tensors, _ = files.read_tensors(path)
            found |= {f"{name}/{key}": tensor.numpy().tobytes() for key, tensor in tensors.items()}
        elif path.suffix in (".csv", ".md", ".tex", ".pdf", ".png", ".svg"):
            found[name] = path.read_bytes()
    return found


def _bytes(table: pyarrow.Table) -> bytes:
    stream = io.BytesIO()
    table = table.replace_schema_metadata().combine_chunks()
    with pyarrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def steps(results: Path) -> dict[str, float]:
    """How far each cell of a results folder is: its steps in a checkpoint, infinity where it is whole."""
    found: dict[str, float] = {}
    for folder in results.glob("runs/*"):
        for path in folder.glob("checkpoint*.safetensors"):
            with contextlib.suppress(FileNotFoundError):
                finished, unfinished = records.read_checkpoint(path)
                for name, cell in unfinished.items():
                    found[name] = max(cell.step, found.get(name, 0))
                found |= dict.fromkeys(finished, float("inf"))
        weights, history = folder / "weights.safetensors", folder / "history.parquet"
        if weights.exists() and history.exists():
            found |= dict.fromkeys(records.read_records(weights, history), float("inf"))
    return found


# ---- One run ---------------------------------------------------------------------------------------------------------


class Run:
    """A run of Snakemake in a process group of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder / "run.log"
        self._logs = folder / ".snakemake" / "log"
        self._older = set(self._logs.glob("*"))
        self.command = ["snakemake", "--cores", "2", *words]
        with open(self.log, "w") as log:
            self._process = subprocess.Popen(
                self.command, cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def lines(self, start: str) -> list[str]:
        """The lines of its output that begin so."""
        return [line for line in self.text().splitlines() if line.startswith(start)]

    def noted(self, start: str) -> list[str]:
        """The lines that begin so of Snakemake's own log, which has what it does not print."""
        logs = set(self._logs.glob("*")) - self._older
        return [line for log in logs for line in log.read_text().splitlines() if line.startswith(start)]

    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int | None:
        """Wait for its end; the exit status, or None if it hangs."""
        try:
            return self._process.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            return None

    def stages(self) -> list[str]:
        """The stages that its jobs are at."""
        found = set()
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    words = process.cmdline()
                    if words[1:3] == ["-m", "ranktwo"]:
                        found.add(words[3])
        return sorted(found)

    def kill(self, number: int) -> bool:
        """Send the group a signal and wait for its end; False if some of it had to be killed then."""
        group = [process for process in psutil.process_iter() if self._is_ours(process)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LONGEST_STOP)
        _, left = psutil.wait_procs([process for process in group if process.pid != self._process.pid], timeout=20)
        left = [process for process in left if self._is_ours(process)]
        ended = not left and self._process.poll() is not None
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        return ended

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return os.getpgid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.Error):
            return False


# ---- When to kill ----------------------------------------------------------------------------------------------------


def at_start(run: Run, results: Path, random: random.Random) -> None:
    """While Snakemake starts."""
    _sleep(run, random.uniform(0, 3))


def at_work(run: Run, results: Path, random: random.Random) -> None:
    """Some time after the first job was started."""
    _wait(run, lambda: bool(run.noted("Execute ")))
    _sleep(run, random.uniform(0, 6))


def at_a_write(run: Run, results: Path, random: random.Random) -> None:
    """When a file is being written, or was a few milliseconds ago."""
    for _ in range(random.choice([1, 1, 2, 3, 5, 8])):
        _wait(run, lambda: any(results.rglob(".*.tmp*")))
    _sleep(run, random.choice([0, random.uniform(0, 0.01)]))


def at_a_checkpoint(run: Run, results: Path, random: random.Random) -> None:
    """Some time after a training has written its first checkpoint, often before its first files."""
    _wait(run, lambda: any(results.glob("runs/*/checkpoint*")))
    _sleep(run, random.uniform(0, 2))


def after_a_job(run: Run, results: Path, random: random.Random) -> None:
    """When Snakemake has seen a job's end, or a job is about to end."""
    seen = random.choice([1, 1, 2, 3, 5])
    _wait(run, lambda: len(run.noted("Finished jobid")) >= seen)
    _sleep(run, random.choice([0, random.uniform(0, 0.1)]))


def at_the_end_of_training(run: Run, results: Path, random: random.Random) -> None:
    """When a training has written its files, and has not ended yet or just so."""
    _wait(run, lambda: " cells trained in " in run.text())
    _sleep(run, random.choice([0, random.uniform(0, 0.3)]))


MOMENTS = (at_start, at_work, at_work, at_a_write, at_a_write, at_a_checkpoint, after_a_job, at_the_end_of_training)


def _wait(run: Run, ready: Callable[[], bool]) -> None:
    latest = time.monotonic() + LONGEST_RUN
    while run.running() and not ready() and time.monotonic() < latest:
        time.sleep(0.01)


def _sleep(run: Run, seconds: float) -> None:
    latest = time.monotonic() + seconds
    while run.running() and time.monotonic() < latest:
        time.sleep(min(0.01, seconds))


# ---- What is damaged -------------------------------------------------------------------------------------------------


def truncated(path: Path, others: list[Path], random: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(len(content)) if content else 0])


def flipped(path: Path, others: list[Path], random: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 1, 3, 100])):
        if content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def emptied(path: Path, others: list[Path], random: random.Random) -> None:
    path.write_bytes(b"")


def deleted(path: Path, others: list[Path], random: random.Random) -> None:
    path.unlink()


def replaced(path: Path, others: list[Path], random: random.Random) -> None:
    """By another file of the same kind, of this study or the other."""
    shutil.copyfile(random.choice([other for other in others if other.suffix == path.suffix and other != path]), path)


DAMAGES = (truncated, flipped, emptied, deleted, replaced)
READ = ("datasets/*.safetensors", "runs/*/*.*", "*/*.parquet", "gaps.parquet", "verdicts.parquet", "jobs/*.json")
"""Files that stages read. Others are for people: nothing can tell that one was damaged, only that it is gone."""


def victims(results: Path, like: Path) -> dict[Path, bool]:
    """A study's files that may be damaged, those that the folder `like` has too, and whether a stage reads them."""
    found = {path: True for pattern in READ for path in results.glob(pattern)}
    pages = [*results.glob("figures/*"), *results.glob("tables/*"), *results.glob("*.*")]
    found |= {path: False for path in pages if path not in found and path.is_file()}
    return {path: read for path, read in found.items() if (like / path.relative_to(results)).exists()}


# ---- Random configs --------------------------------------------------------------------------------------------------

WEIRD: list[Any] = [None, True, "", " ", "many", "full", "é∑\u202e\u0000", "x" * 5000, "~", "~nobody-at-all", "$HOME"]
WEIRD += ["$NO_SUCH_VARIABLE", "{x}", "a/../b", "/dev/null/x", "1e3", "1e999", "0x10", "NaN", ".inf", "-", "? ", "no"]
WEIRD += [0, -1, 1, 2, 1.5, 1e-320, 1e308, -1e308, 10**9, 10**30, -(10**30), 2**63, float("nan"), float("inf")]
WEIRD += [-float("inf"), [], [[]], [None], {}, {"a": 1}, [{}], [[1, 2], [3]], [0, 0.0, False], ["a", 1], b"\xff"]
WEIRD += [datetime.date(2001, 2, 3), {1, 2}, list(range(3000)), [[8] * 40], [1, [2, [3, [4]]]], {"": {}}, {"é": None}]


def mutated(study: dict[str, Any], random: random.Random) -> bytes:
    """A study's config with one to three changes, mostly bad ones."""
    study = copy.deepcopy(study)
    for _ in range(random.choice([1, 1, 2, 3])):
        place, key = random.choice(list(_places(study)))
        change = random.choice(["value", "value", "value", "misspelt", "deleted", "added", "list", "twice"])
        if change == "value":
            place[key] = copy.deepcopy(random.choice(WEIRD))
        elif change == "misspelt" and isinstance(place, dict):
            place[_misspelt(str(key), random)] = place.pop(key)
        elif change == "deleted":
            del place[key]
        elif change == "added" and isinstance(place, dict):
            place[random.choice(["seed", "results", "figures", "where", "x", 3, None, True])] = random.choice(WEIRD)
        elif change == "list":
            place[key] = [place[key]] * random.choice([1, 2])
        elif change == "twice" and isinstance(place, list):
            place.append(place[key])
    text = yaml.dump(study, allow_unicode=random.random() < 0.5, sort_keys=False).encode("utf-8", "surrogatepass")
    if random.random() < 0.15:
        where = random.randrange(len(text))
        text = (
            text[:where]
            + random.choice([b"", b"\t", b":", b"[", b"\xff", b"\x00", b"&a *a", b"!!x ", b"%", b"- "])
            + (text[where + random.choice([0, 1, 50]) :])
        )
    return text


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    for key in part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
        yield part, key
        yield from _places(part[key])


def _misspelt(word: str, random: random.Random) -> str:
    where = random.randrange(len(word) + 1)
    return random.choice(
        [word[:where] + word[where + 1 :], word[:where] + "x" + word[where:], word.upper(), word[::-1]]
    )


def judged(path: Path) -> str:
    """Empty if a config can be planned, or the sentence with which it is refused; any other error is raised.

    It goes the way of Snakemake: the file is checked, Snakemake reads it, and everything is asked that a plan needs.
    """
    try:
        configuration.check(path)
        run = Workflow(load_configfile(path), str(path))
        for stack in run.stacks:
            run.training_identity(stack)
            for analysis in run.analyses:
                run.analysis_identity(analysis, stack)
        for dataset in run.datasets:
            run.dataset_identity(dataset)
        for figure in run.figures:
            run.figure_identity(figure)
    except UserError as error:
        return str(error)
    return ""


# ---- The soak --------------------------------------------------------------------------------------------------------


class Soak:
    """Rounds in copies of the project, and what came of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.undisturbed = copy_project(folder / "undisturbed")
        self.project: Path | None = None
        self.references: dict[str, dict[str, bytes]] = {}
        self.counts: collections.Counter[str] = collections.Counter()
        self.kills: collections.Counter[tuple[str, str, str]] = collections.Counter()
        self.faults: list[str] = []
        self.study, self.shared = "one", True
        self.taken = False
        """Whether files were taken from a whole folder that no run has made again yet."""

    # Studies and folders.

    def results_of(self, name: str) -> str:
        return "results" if self.shared else f"results-{name}"

    def write_study(self, folder: Path, name: str, results: str) -> str:
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(STUDIES[name] | {"results": results}))
        return file.name

    def reference(self, name: str) -> dict[str, bytes]:
        """What an undisturbed run of a study gives."""
        if name not in self.references:
            results = self.undisturbed / f"results-{name}"
            run = Run(self.undisturbed, "--configfile", self.write_study(self.undisturbed, name, results.name))
            if run.end() != 0:
                sys.exit(f"the undisturbed run of study {name} failed:\n{run.text()}")
            self.references[name] = contents(results, results)
        return self.references[name]

    def fresh(self) -> None:
        """Begin with a copy of the project without results; numba's compiled code is kept."""
        if self.project is None:
            self.reference(self.study)
            self.project = self.folder / "disturbed" / "ranktwo"
            shutil.copytree(self.undisturbed, self.project)
        for path in [*self.project.glob("results*"), self.project / ".snakemake"]:
            shutil.rmtree(path, ignore_errors=True)
        self.taken = False
        self.shared = self.random.random() < 0.5

    @property
    def results(self) -> Path:
        return self.project / self.results_of(self.study)

    @property
    def like(self) -> Path:
        """The results of the undisturbed run of the study."""
        return self.undisturbed / f"results-{self.study}"

    def start(self, *words: str) -> Run:
        """Snakemake with these words, in a copy of the project.

        By itself it does not make a file again that no later one needs. So what was taken away is asked for by name.
        """
        file = self.write_study(self.project, self.study, self.results_of(self.study))
        targets = ["all", *self.absent()] if self.taken else []
        return Run(self.project, *targets, *words, "--configfile", file)

    def absent(self) -> list[str]:
        """Files with numbers that an undisturbed run of the study leaves, and that are not there."""
        made = [path for path in self.like.rglob("*.*") if path.suffix in (".parquet", ".safetensors")]
        here = [self.results / path.relative_to(self.like) for path in made]
        return [str(path.relative_to(self.project)) for path in here if not path.exists()]

    def unlock(self) -> None:
        """What --unlock does; now and then by it."""
        if self.random.random() < 0.1:
            if self.start("--unlock").end() != 0:
                self.fault("--unlock failed")
            self.counts["snakemake --unlock"] += 1
        else:
            shutil.rmtree(self.project / ".snakemake" / "locks", ignore_errors=True)

    # What goes wrong.

    def fault(self, what: str, run: Run | None = None) -> None:
        """Note a fault; its run's output and a copy of the folder are kept."""
        kept = self.folder / f"fault-{len(self.faults)}"
        self.faults.append(f"{what} (study {self.study}; {kept})")
        print(f"FAULT {self.faults[-1]}", flush=True)
        kept.mkdir()
        if run:
            (kept / "output").write_text(run.text())
        if self.project and len(self.faults) < 20:
            ignored = shutil.ignore_patterns("src", "tests", "docs", "benchmarks", "run.log")
            shutil.copytree(self.project, kept / "project", ignore=ignored)

    def check_output(self, run: Run, what: str) -> None:
        """No traceback and no sentence said twice."""
        if "Traceback" in run.text():
            self.fault(f"a traceback {what}", run)
        sentences = run.lines(SIGN)
        if len(set(sentences)) < len(sentences):
            self.fault(f"a sentence said twice {what}", run)

    def compare(self, what: str) -> bool:
        """Whether the study's files are those of an undisturbed run."""
        wanted = self.reference(self.study)
        try:
            found = contents(self.results, self.like)
        except (OSError, UserError, pyarrow.ArrowException) as error:
            self.fault(f"a file cannot be read {what}: {error}")
            return False
        self.counts["compared files, tables and tensors"] += len(wanted)
        wrong = [name for name in wanted if found.get(name) != wanted[name]]
        self.counts["wrong bytes"] += len(wrong)
        if wrong:
            absent = [name for name in wrong if name not in found]
            self.fault(f"{len(wrong)} of {len(wanted)} differ {what}, {len(absent)} of them absent: {wrong[:5]}")
        return not wrong

    # Rounds.

    def round(self) -> bool:
        """Start a run and kill it at a random moment; True if it ended before, in a folder that is whole."""
        if self.project is None:
            self.fresh()
        moment, number = self.random.choice(MOMENTS), self.random.choice(SIGNALS)
        before = steps(self.results)
        run = self.start()
        moment(run, self.results, self.random)
        if run.running():
            stages = "+".join(run.stages()) or "Snakemake alone"
            self.kills[signal.Signals(number).name, moment.__name__.replace("_", " "), stages] += 1
            if not run.kill(number):
                self.fault(f"a process was alive {LONGEST_STOP} s after {signal.Signals(number).name}", run)
            self.check_output(run, f"after {signal.Signals(number).name} during {stages}")
            self.nothing_lost(before, run, f"{signal.Signals(number).name} {moment.__doc__} during {stages}")
            if number == signal.SIGKILL:
                self.unlock()
            return False
        return self.finished(run)

    def finished(self, run: Run) -> bool:
        """Whether a run that nobody killed ended well."""
        status = run.end()
        if LOCKED in run.text():
            self.counts["locks left by a signal other than SIGKILL"] += 1
            self.unlock()
        elif status == 0:
            self.counts["finished runs"] += 1
            self.taken = False
            self.compare("from an undisturbed run")
            return True
        else:
            self.fault("a run hung" if status is None else "a restarted run failed", run)
            shutil.rmtree(self.results, ignore_errors=True)
        return False

    def nothing_lost(self, before: dict[str, float], run: Run, what: str) -> None:
        try:
            after = steps(self.results)
        except UserError as error:
            self.fault(f"a file that a kill has damaged: {error}; {what}", run)
            return
        lost = {name: (step, after.get(name, 0)) for name, step in before.items() if after.get(name, 0) < step}
        self.counts["cells whose steps were kept"] += len(before) - len(lost)
        self.counts["cells that lost steps"] += len(lost)
        if lost:
            self.fault(f"{len(lost)} cells lost steps by {what}: {lost}", run)

    def between(self) -> None:
        """After a whole run: take some of its results away, or another study."""
        what = self.random.choice(["fresh", "fresh", "other", "other", "training", "some", "metadata"])
        if what == "fresh":
            self.fresh()
        if what in ("fresh", "other"):
            self.study = (
                self.random.choice(list(STUDIES)) if what == "fresh" else {"one": "two", "two": "one"}[self.study]
            )
        if what == "training":
            shutil.rmtree(self.random.choice(list(self.results.glob("runs/*"))))
        if what == "some":
            for path in victims(self.results, self.like):
                if self.random.random() < 0.3:
                    path.unlink()
        if what == "metadata":
            shutil.rmtree(self.project / ".snakemake")
        self.taken = what in ("training", "some")
        self.reference(self.study)
        self.counts[f"begun again: {what}"] += 1

    def damage(self) -> None:
        """Damage files of a whole folder and have it repaired, by doing what the sentences say."""
        others = [
            path for path in (*self.undisturbed.glob("results*/**/*.*"), *self.results.rglob("*.*")) if path.is_file()
        ]
        damaged = []
        for path, read in self.random.sample(
            list(victims(self.results, self.like).items()), self.random.choice([1, 1, 2, 4])
        ):
            how = self.random.choice(DAMAGES) if read else deleted
            how(path, others, self.random)
            damaged.append(f"{path.relative_to(self.results)} {how.__name__}")
            self.counts[f"files {how.__name__}"] += 1
        what = f"after {', '.join(damaged)}"
        self.taken = True  # a stage puts aside what is damaged
        words: list[str] = []
        for number in range(1, MOST_RUNS + 1):
            run = self.start(*words)
            status = run.end()
            self.check_output(run, what)
            said = run.lines(SIGN)
            self.counts["sentences on damaged files"] += len(said)
            if status == 0:
                self.taken = False
                self.counts["repaired"] += self.compare(what)
                self.counts["runs until repaired"] += number
                return
            if not said:
                self.fault(f"a run failed without a sentence {what}", run)
            asked = re.search(r"`(--forcerun \w+)`", "\n".join(said))
            words = asked[1].split() if asked else []
            for line in said:
                if asked := re.search(r"^ranktwo: (\S+) .*delete it and", line):
                    (self.project / asked[1]).unlink(missing_ok=True)
        self.fault(f"not repaired in {MOST_RUNS} runs {what}", run)
        shutil.rmtree(self.results)

    def config(self, *, by_snakemake: bool) -> None:
        """Try a random config."""
        path = self.folder / "random.yaml"
        path.write_bytes(mutated(self.random.choice(list(STUDIES.values())), self.random))
        signal.alarm(LONGEST_CONFIG)
        try:
            sentence = judged(path)
        except (Exception, TimeoutError) as error:
            self.bad_config(path, f"{type(error).__name__}: {error}")
            return
        finally:
            signal.alarm(0)
        self.counts["configs refused" if sentence else "configs accepted"] += 1
        if "\n" in sentence or not sentence.isprintable() or len(sentence) > 1000:
            self.bad_config(path, f"no sentence: {sentence!r}")
        if by_snakemake:
            shutil.copy(path, self.project / "random.yaml")
            run = Run(self.project, "-n", "--configfile", "random.yaml")
            status = run.end()
            self.counts["configs that Snakemake itself judged"] += 1
            lines = [line for line in run.text().splitlines() if not line.startswith("Using workflow specific profile")]
            one = len(lines) == 1 and lines[0].startswith(SIGN)
            if "Traceback" in run.text() or (status != 0 and not one) or (status == 0) != (not sentence):
                self.bad_config(path, f"Snakemake ended with {status} and said {lines[:3]}; expected {sentence!r}")

    def bad_config(self, path: Path, what: str) -> None:
        kept = self.folder / f"config-{len(self.faults)}.yaml"
        shutil.copy(path, kept)
        self.fault(f"config {kept}: {what}")

    def run(self, rounds: int, seconds: float) -> None:
        """All rounds; the last run is left to its end and compared."""
        latest = time.monotonic() + seconds
        whole = False
        for number in range(1, rounds + 1):
            if time.monotonic() > latest:
                print(f"time is over after {number - 1} rounds")
                break
            if whole:
                if self.random.random() < 0.4:
                    self.damage()
                for trial in range(20):
                    self.config(by_snakemake=trial == 0)
                self.between()
            whole = self.round()
            self.counts["rounds"] += 1
            if number % 25 == 0:
                print(f"{number} rounds, {sum(self.kills.values())} kills, {len(self.faults)} faults", flush=True)
        for _ in range(3):
            if whole:
                break
            whole = self.finished(self.start())
        self.damage()
        for trial in range(20):
            self.config(by_snakemake=trial == 0)

    def report(self) -> str:
        """The counts."""
        lines = [f"{sum(self.kills.values())} kills"]
        for place, title in enumerate(["by signal", "by moment", "by stage"]):
            by: collections.Counter[str] = collections.Counter()
            for kill, count in self.kills.items():
                by[kill[place]] += count
            lines += [f"  {title}: " + ", ".join(f"{name} {count}" for name, count in by.most_common())]
        for name in ("cells that lost steps", "wrong bytes"):
            self.counts[name] += 0
        lines += [f"{name}: {count}" for name, count in sorted(self.counts.items())]
        return "\n".join([*lines, f"faults: {len(self.faults)}", *(f"  {fault}" for fault in self.faults)])


def too_long(*_: object) -> None:
    raise TimeoutError(f"more than {LONGEST_CONFIG} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="runs that are to be killed")
    parser.add_argument("--seed", type=int, help="of all that is drawn; random if absent")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this time")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {seed}, in {folder}", flush=True)
    signal.signal(signal.SIGALRM, too_long)
    soak = Soak(folder, seed)
    start = time.monotonic()
    try:
        soak.run(given.rounds, given.seconds)
    finally:
        print(f"{soak.report()}\nseed {seed}, {time.monotonic() - start:.0f} s", flush=True)
    if soak.faults:
        sys.exit(f"{len(soak.faults)} faults; what was run is kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
