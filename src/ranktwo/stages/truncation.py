"""TODO stages.truncation."""

import pyarrow
import torch

from ranktwo.analysis.inputs import load_records, stage_parser
from ranktwo.analysis.truncation import SCHEMA, row
from ranktwo.data.dataset import load_data
from ranktwo.progress import over
from ranktwo.store import files, provenance


def main() -> None:
    arguments = stage_parser(__doc__, "dataset").parse_args()
    torch.set_num_threads(1)
    data = load_data(arguments.dataset)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    cells = over(records.items(), f"{arguments.output.stem}: truncation of {len(records)} cells", "cells")
    rows = [row(name, record, data) for name, record in cells]
    files.write_parquet(
        arguments.output,
        pyarrow.Table.from_pylist(rows, schema=SCHEMA),
        {
            "provenance": provenance.circumstances(
                "truncation", [arguments.weights, arguments.history, arguments.dataset]
            )
        },
    )


if __name__ == "__main__":
    run(main)
