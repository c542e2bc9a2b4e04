"""The last lines that a run prints: its verdicts and where to look, or why it failed."""

from pathlib import Path

from ranktwo.errors import UserError, failures
from ranktwo.store import files, registry

OVERALL = "overall"
"""As in evidence.predictors, which this room cannot import."""


def closing(results: str) -> str:
    """The last lines of a finished run: the verdicts, if there are any, and what to open, the page of all first."""
    folder = Path(results)
    verdicts = _verdicts(folder / "verdicts.parquet")
    head = [f"\nVerdicts, from {folder / 'verdicts.md'}:", *verdicts] if verdicts else [""]
    front = folder / "report.html"
    return "\n".join(
        [
            *head,
            *([f"Open first: {front}"] if front.exists() else []),
            f"Figures: {results}/figures/  Tables: {results}/tables/  "
            f"Macros: {results}/numbers.tex  One row per cell: {results}/gaps.parquet",
        ]
    )


def _verdicts(path: Path) -> list[str]:
    """A line for each claim: its verdict over all data sets, and its words; none where there is no such file."""
    if not path.exists():
        return []
    try:
        table, _ = files.read_parquet(path, "verdicts")
    except UserError as error:
        return [f"  {error}"]
    known = registry.entries("claim")
    return [
        f"  {row['verdict']:<13} {row['claim']}: {known[row['claim']].settings['words']}"
        for row in table.select(["claim", "verdict", "headline", "dataset"]).to_pylist()
        if row["headline"] and row["dataset"] == OVERALL and row["claim"] in known
    ]


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
