"""TODO stages.spectra."""

import pyarrow
import torch

from ranktwo.analysis.inputs import load_records, stage_parser
from ranktwo.analysis.spectra import table, table_schema
from ranktwo.progress import over
from ranktwo.store import files, provenance


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    cells = over(records.items(), f"{arguments.output.stem}: spectra of {len(records)} cells", "cells")
    tables = [pyarrow.table(table(record, name), schema=table_schema()) for name, record in cells]
    files.write_parquet(
        arguments.output,
        pyarrow.concat_tables(tables),
        {"provenance": provenance.circumstances("spectra", [arguments.weights, arguments.history])},
    )


if __name__ == "__main__":
    run(main)
