"""The last lines of a run that ended well: what verdicts.parquet says, in the registry's words."""

from pathlib import Path

import pandas
import pyarrow
import pytest

from ranktwo.evidence.predictors import OVERALL
from ranktwo.store import files, registry
from ranktwo.study import closing

WORDS = "d_2/||V|| is small, | or not"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with verdicts on two claims, of which the registry has one."""
    entries = {"C9": registry.Entry("C9", "", "", "", {"words": WORDS})}
    monkeypatch.setattr(registry, "entries", {"claim": entries}.__getitem__)
    rows = [
        {"claim": claim, "dataset": dataset, "headline": headline, "verdict": verdict}
        for claim, dataset, headline, verdict in (
            ("C9", "toy", True, "supported"),
            ("C9", OVERALL, True, "contradicted"),
            ("C9", OVERALL, False, "trivial"),
            ("taken-away", OVERALL, True, "supported"),
        )
    ]
    table = pyarrow.Table.from_pandas(pandas.DataFrame(rows), preserve_index=False)
    files.write_parquet(tmp_path / "verdicts.parquet", table, {"provenance": {"stage": "verdicts"}})
    (tmp_path / "verdicts.md").write_text("| claim | verdict |\n|---|---|\n| C9: of \\|x\\| | vacuous |\n")
    return tmp_path


def test_a_run_ends_with_each_claim_s_verdict_over_all_data_sets_and_its_words(results):
    assert closing.OVERALL == OVERALL
    assert closing.closing(str(results)).splitlines() == [
        "",
        f"Verdicts, from {results}/verdicts.md:",
        f"  contradicted  C9: {WORDS}",
        f"Figures: {results}/figures/  Tables: {results}/tables/  Macros: {results}/numbers.tex  "
        f"One row per cell: {results}/gaps.parquet",
    ]


def test_a_run_without_verdicts_says_what_to_open(results):
    (results / "verdicts.parquet").unlink()
    (results / "report.html").touch()
    empty, first, _ = closing.closing(str(results)).splitlines()
    assert (empty, first) == ("", f"Open first: {results}/report.html")


def test_verdicts_that_cannot_be_read_are_a_sentence(results):
    (results / "verdicts.parquet").write_bytes(b"PAR1")
    assert "verdicts.parquet is damaged" in closing.closing(str(results)).splitlines()[2]
