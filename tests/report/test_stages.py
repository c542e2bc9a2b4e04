"""Stages that write rows and pages: what one that is killed leaves behind is made again."""

import pytest
from evidence.made_up import NO_LAYERS, study

from ranktwo.errors import UserError
from ranktwo.stages import predictors, verdicts


@pytest.mark.parametrize(
    ("stage", "pages", "rows"),
    [
        (verdicts, ("md", "tex", "html"), {"gaps": study(), "layers": NO_LAYERS}),
        (predictors, ("csv", "md", "tex", "html"), {"gaps": study()}),
    ],
)
def test_rows_are_written_when_all_pages_are(stage, pages, rows, run_on_rows, tmp_path):
    """A job is run again for what its Parquet file says; pages of another run do not stand beside it."""
    output, last = tmp_path / "made.parquet", tmp_path / "gaps.parquet" / "page.html"  # in a file, no folder
    with pytest.raises(UserError, match="cannot write"):
        run_on_rows(stage, writes=pages[:-1], options={"output": output, pages[-1]: last}, **rows)
    assert not output.exists() and all((tmp_path / f"made.{kind}").exists() for kind in pages[:-1])
    run_on_rows(stage, writes=pages, options={"output": output}, **rows)
    assert output.exists()
