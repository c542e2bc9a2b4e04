"""The last lines that a run prints: its verdicts and where to look, or why it failed."""

import itertools
from pathlib import Path

from ranktwo.errors import failures


def closing(results: str) -> str:
    """The last lines of a finished run: the verdicts, if there are any, and what to open, the page of all first."""
    page = Path(results) / "verdicts.md"
    rows = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    columns = [[part.strip() for part in row.split("|")[1:3]] for row in itertools.takewhile(str.strip, rows[2:])]
    verdicts = [f"  {verdict:<13} {claim}" for claim, verdict in columns]
    head = [f"\nVerdicts, from {page}:", *verdicts] if verdicts else [""]
    front = Path(results) / "report.html"
    return "\n".join(
        [
            *head,
            *([f"Open first: {front}"] if front.exists() else []),
            f"Figures: {results}/figures/  Tables: {results}/tables/  "
            f"Macros: {results}/numbers.tex  One row per cell: {results}/gaps.parquet",
        ]
    )


def failed(results: str, since: float, *, remote: bool) -> str:
    """The last lines of a run that failed: each job's own sentence, from logs written after `since`.

    A job on this machine has put its sentence on the screen already, so that `remote` alone repeats them.
    """
    said = failures(Path(results) / "logs", since)
    if not said:
        return f"\nSnakemake's message above says what failed. Logs of the jobs: {results}/logs/"
    if not remote:
        return f"\nA line above that begins with `ranktwo:` says why. Logs: {results}/logs/"
    logs = f"Logs of all jobs: {results}/logs, and SLURM's own in .snakemake/slurm_logs"
    return "\n  ".join(["\nFailed jobs:", *said]) + f"\n{logs}"
