"""What a user did wrong or the machine refused, said in one sentence."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]
"""Signals that ask a job to end: Ctrl-C, kill, a closed terminal, a scheduler's warning."""
SIGN = "ranktwo: "
"""What a sentence on what went wrong begins with."""
AFTER_KILL = "if memory ran out, give Snakemake fewer --cores; run it again to go on"
"""What to do where one of several processes was killed."""


class UserError(Exception):
    """One sentence for a person: what is wrong, where, and what to do about it."""


def say_without_numba(error: ImportError, consequence: str) -> None:
    """Say that numba is absent, or does not fit the installed NumPy, and what follows from that."""
    print(f"numba does not work here ({' '.join(str(error).split())}): {consequence}", file=sys.stderr)


class _Tee:
    """Standard error, with whole lines also written to a log; a live line, rewritten in place, stays out of the log."""

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self._terminal, self._log = terminal, log

    def write(self, text: str) -> int:
        # A full disk must not keep a sentence from the terminal, nor a terminal that is gone end the work.
        if "\r" not in text:
            with contextlib.suppress(OSError):
                self._log.write(text)
                self._log.flush()
        with contextlib.suppress(OSError):
            self._terminal.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._terminal.flush()

    def isatty(self) -> bool:
        return self._terminal.isatty()


def _close(file: TextIO) -> None:
    with contextlib.suppress(OSError):
        file.close()


def _flush_output() -> None:
    """Write what was printed, or drop it where nobody reads on: `head` ends when it has seen enough."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python writes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"{SIGN}cannot write what was to be printed: {error.strerror}")


def failures(logs: Path, since: float) -> list[str]:
    """`log: sentence` of each job whose log, written after that time, ends in what went wrong; in order of their names.

    Jobs on another machine say it nowhere else.
    """
    found = []
    for log in sorted(logs.rglob("*.log")):
        if log.stat().st_mtime >= since:
            last = (log.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[-1]
            found += [f"{log}: {last.removeprefix(SIGN)}"] if last.startswith(SIGN) else []
    return found


def run(main: Callable[[], None], log: Path | None = None) -> None:
    """Run a stage's `main`. A UserError becomes its sentence on standard error and exit status 1.

    With a log, standard error is also written to it; the traceback of an error that is ours goes there and nowhere
    else. Output that nobody reads any more ends the stage without a word.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        stack.callback(_flush_output)
        if log:
            try:
                log.parent.mkdir(parents=True, exist_ok=True)
                file = open(log, "w", encoding="utf-8")  # noqa: SIM115, closed below, whatever the disk says
                stack.callback(_close, file)
            except OSError as error:
                sys.exit(f"{SIGN}cannot write the log {log}: {error.strerror}; choose another folder")
            stack.enter_context(contextlib.redirect_stderr(_Tee(sys.stderr, file)))
        try:
            main()
        except UserError as error:
            print(f"{SIGN}{error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except BrokenPipeError:
            sys.exit(128 + signal.SIGPIPE)
        except Exception as error:
            if log:
                with contextlib.suppress(OSError):
                    traceback.print_exc(file=file)
            where = f"{log} has its traceback" if log else "add `--log FILE` to keep its traceback in FILE"
            print(f"{SIGN}an error of ours: {type(error).__name__}: {error}; {where}", file=sys.stderr)
            sys.exit(1)
