"""What a person reads when a command is wrong, a job fails or a run is broken off: one sentence, and a true one."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import SMALL, environment, snakemake, with_axis

from ranktwo import errors

SAYS_WHY = "A line above that begins with `ranktwo:` says why"
LOOK_ABOVE = "Snakemake's message above says what failed"


def said(done: subprocess.CompletedProcess) -> list[str]:
    """The lines of a run that failed, without Snakemake's on its profile."""
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if not line.startswith("Using workflow specific profile")]


CONFIGS = {
    "absent.yaml": (["absent.yaml"], "absent.yaml cannot be read (No such file or directory)"),
    "a target": (["config.yaml", "plan"], "plan cannot be read (No such file or directory)"),
    "a result": (["config.yaml", "result.parquet"], "result.parquet is not UTF-8 text"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_word_after_configfile_that_is_no_config_is_one_sentence(case, checkout):
    words, sentence = CONFIGS[case]
    (checkout / "result.parquet").write_bytes(b"PAR1\xff\xfe")
    [line] = said(snakemake(checkout, "-n", "--configfile", *words))
    assert line.startswith(f"ranktwo: {sentence}")
    # Without this, nobody would guess why a target is taken for a config.
    assert ("name targets before it" in line) == (len(words) > 1)


def test_it_is_said_from_another_working_folder(checkout, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    [line] = said(snakemake(tmp_path / "elsewhere", "-n", "-s", f"{checkout}/Snakefile", "--configfile", "absent.yaml"))
    assert line.startswith("ranktwo: absent.yaml cannot be read")


@pytest.mark.parametrize(
    "words", [["plan", "--configfile", "study.yaml"], ["--configfile", "study.yaml", "--", "plan"]]
)
def test_a_target_before_configfile_or_after_two_hyphens_is_a_target(words, checkout):
    (checkout / "study.yaml").write_text(yaml.safe_dump(SMALL))
    done = snakemake(checkout, "-n", *words)
    assert done.returncode == 0, done.stderr


def test_a_home_folder_that_cannot_be_written_stops_nothing(checkout):
    (checkout / "study.yaml").write_text(yaml.safe_dump(SMALL))
    (checkout / "file").touch()
    done = snakemake(checkout, "-n", "--configfile", "study.yaml", HOME=str(checkout / "file"), XDG_CACHE_HOME="")
    assert done.returncode == 0, done.stderr


BROKEN = {
    "no text": (b"a: \xff", "config.yaml is not UTF-8 text (byte 3)"),
    "no day": (b"a: 2001-99-99", "config.yaml is not YAML: month must be in 1..12"),
    "too deep": (b"[" * 3000, "config.yaml refers to itself or is nested too deeply"),
    "nothing": (b"", "config.yaml has no keys"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN)
def test_a_default_study_that_snakemake_cannot_read_is_one_sentence(case, checkout):
    content, sentence = BROKEN[case]
    (checkout / "config.yaml").write_bytes(content)
    [line] = said(snakemake(checkout, "-n"))
    assert line.startswith(f"ranktwo: {sentence}")


def make(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """`make` in a copy of the project, as if it had installed the environment of these tests."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text("")
    (folder / ".venv" / ".installed").touch()
    environ = environment(PYTHONPATH=str(folder / "src"))
    return subprocess.run(["make", *words], cwd=folder, env=environ, capture_output=True, text=True)


@pytest.mark.slow
def test_make_report_writes_snakemakes_report_beside_the_page_and_says_what_to_open(finished_copy):
    done = make(finished_copy, "report", "STUDY=study.yaml", "CORES=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Open results/report.html"
    assert 'href="workflow.html"' in (finished_copy / "results" / "report.html").read_text()
    assert "workflow_desc" in (finished_copy / "results" / "workflow.html").read_text()


def test_make_says_one_sentence_on_an_absent_study(checkout):
    done = make(checkout, "figures", "STUDY=absent.yaml")
    line, end = said(done)
    assert line.startswith("ranktwo: absent.yaml cannot be read")
    assert end.startswith("make: ***")


# The lines of a run between its jobs' own.


@pytest.mark.slow
def test_a_run_says_how_far_it_is_and_snakemake_keeps_its_lines_for_its_log(finished_copy):
    said = (finished_copy / "said.txt").read_text()
    found = re.findall(r"^(\d+) of (\d+) jobs done, (\d+) % of the work, \d+ (?:s|min|h) left$", said, re.MULTILINE)
    assert found, said
    jobs, totals, shares = (list(map(int, numbers)) for numbers in zip(*found, strict=True))
    assert jobs == sorted(jobs) and shares == sorted(shares) and shares[-1] < 100
    [total] = re.findall(r"^total +(\d+)$", said, re.MULTILINE)
    assert set(totals) == {int(total) - 1}  # the target itself is no work
    for line in ("Execute 1 jobs", "Select jobs", "Finished jobid", "Building DAG", "steps (", "Elapsed", "Host:"):
        assert line not in said
    [log] = (finished_copy / ".snakemake" / "log").iterdir()
    assert "Finished jobid" in log.read_text()
    # Of a quiet run nothing is said but the end.
    again = snakemake(finished_copy, "--configfile", "study.yaml", "--quiet", "all", "--forcerun", "numbers")
    assert again.returncode == 0 and "jobs done" not in again.stderr


# The closing lines of a run that failed.


@pytest.mark.slow
def test_a_job_that_fails_has_said_why(checkout):
    (checkout / "study.yaml").write_text(yaml.safe_dump(SMALL | {"datasets": {"digits-3v8": {"source": "mnist"}}}))
    lines = said(snakemake(checkout, "--configfile", "study.yaml"))
    assert sum(line.startswith("ranktwo: ") for line in lines) == 1
    assert sum(line.startswith(SAYS_WHY) for line in lines) == 1
    assert not any(line.startswith(LOOK_ABOVE) for line in lines)


@pytest.mark.slow
def test_of_a_job_that_was_killed_it_is_not_claimed_that_it_said_why(checkout):
    (checkout / "study.yaml").write_text(yaml.safe_dump(SMALL))
    stage = checkout / "src" / "ranktwo" / "stages" / "dataset.py"
    head = "def main() -> None:\n"
    stage.write_text(stage.read_text().replace(head, f"{head}    import os\n\n    os.kill(os.getpid(), 9)\n"))
    lines = said(snakemake(checkout, "--configfile", "study.yaml"))
    assert not any(line.startswith(("ranktwo: ", SAYS_WHY)) for line in lines)
    assert sum(line.startswith(LOOK_ABOVE) for line in lines) == 1


def start(folder: Path) -> subprocess.Popen:
    """Start study.yaml in a process group of its own that writes to run.log; wait until it trains."""
    with open(folder / "run.log", "w") as log:
        run = subprocess.Popen(
            ["snakemake", "--cores", "1", "--configfile", "study.yaml"],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not list(folder.glob("results/runs/*/checkpoint.safetensors")):
        assert run.poll() is None, (folder / "run.log").read_text()
        time.sleep(0.05)
    return run


@pytest.mark.slow
def test_of_a_lock_snakemake_alone_speaks_and_ctrl_c_is_a_sentence_of_the_training(checkout):
    (checkout / "study.yaml").write_text(yaml.safe_dump(with_axis("steps", 10**8) | {"checkpoint": 0.1}))
    run = start(checkout)
    try:
        lines = said(snakemake(checkout, "--configfile", "study.yaml"))
        assert sum("Directory cannot be locked" in line for line in lines) == 1
        assert not any(line.startswith(("ranktwo: ", SAYS_WHY, LOOK_ABOVE)) for line in lines)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(timeout=300) != 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    lines = (checkout / "run.log").read_text().splitlines()
    assert "Traceback" not in "\n".join(lines)
    [sentence] = [line for line in lines if line.startswith("ranktwo: ")]
    assert sentence.startswith("ranktwo: training was stopped by SIGINT at step ")
    assert sum(line.startswith(SAYS_WHY) for line in lines) == 1


# Output that nobody reads, or that cannot be written.


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["reference", "columns"], ["--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(words, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "ranktwo", *words],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert done.stderr == ""
    # Nobody learns of a short text that it was not read.
    assert done.returncode in (0, 128 + signal.SIGPIPE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_sentence(unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ranktwo", "--help"],
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("ranktwo: ")
    assert "No space left on device" in line


def test_a_terminal_that_is_gone_ends_no_job_and_the_log_has_all(tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)

    def main() -> None:
        print("half way", file=sys.stderr, flush=True)
        raise errors.UserError("the rest is missing")

    with open(writer, "wb", buffering=0) as pipe, io.TextIOWrapper(pipe, write_through=True) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with pytest.raises(SystemExit):
            errors.run(main, tmp_path / "log")
    assert (tmp_path / "log").read_text() == "half way\nranktwo: the rest is missing\n"
