"""TODO stages.predictors."""

import argparse
from pathlib import Path

import pyarrow

from ranktwo.evidence import gaps
from ranktwo.evidence.predictors import predictors
from ranktwo.report import pages
from ranktwo.report.predictors import SAID, summary
from ranktwo.store import columns, files, provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    for kind in ("csv", "md", "tex", "html"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    cells = gaps.read("gaps", arguments.gaps)
    scored, origin = predictors(cells), gaps.origin(cells)
    schema = columns.schema(["dataset", *(name for name in scored.columns if name != "dataset")])
    rows = pyarrow.Table.from_pandas(scored, schema=schema, preserve_index=False)
    files.write_parquet(
        arguments.output, rows, {"provenance": provenance.circumstances("predictors", [arguments.gaps])}
    )
    text = summary(scored)
    pages.write(
        {
            arguments.csv: pages.to_csv(rows.to_pandas()),
            arguments.md: pages.to_markdown(origin, text),
            arguments.tex: pages.to_latex(origin, text),
            arguments.html: pages.to_html("Which measure predicts the gap", origin, SAID, text),
        }
    )


if __name__ == "__main__":
    run(main)
