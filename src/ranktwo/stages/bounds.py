"""TODO stages.bounds."""

import json

import pyarrow
import torch

from ranktwo.analysis.bounds.table import row, table_schema
from ranktwo.analysis.inputs import load_records, stage_parser
from ranktwo.data.dataset import load_data
from ranktwo.progress import over
from ranktwo.store import files, provenance


def main() -> None:
    parser = stage_parser(__doc__, "dataset")
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: percentile and delta of `Net.of`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(arguments.dataset)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    cells = over(records.items(), f"{arguments.output.stem}: bounds of {len(records)} cells", "cells")
    rows = [row(name, record, data, arguments.settings) for name, record in cells]
    files.write_parquet(
        arguments.output,
        pyarrow.Table.from_pylist(rows, schema=table_schema()),
        {"provenance": provenance.circumstances("bounds", [arguments.weights, arguments.history, arguments.dataset])},
    )


if __name__ == "__main__":
    run(main)
