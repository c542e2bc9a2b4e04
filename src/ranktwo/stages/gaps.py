"""TODO stages.gaps."""

import argparse
import itertools
import json
from pathlib import Path

import pyarrow

from ranktwo.evidence.gaps import SCHEMA_NAMES, STAGES, gaps, paths, read_stacks, to_frame
from ranktwo.store import files, provenance
from ranktwo.store.columns import schema
from ranktwo.study.jobs import stack_names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder with the results of the other stages")
    parser.add_argument("--stacks", type=stack_names, required=True, help="JSON: the stacks whose cells get a row")
    parser.add_argument("--status", type=json.loads, required=True, help="JSON: the thresholds of `gaps`")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    tables = read_stacks(arguments.results, arguments.stacks)
    made = {stage: to_frame(found) for stage, found in tables.items()}
    table = gaps(
        made["train"],
        made["spectra"],
        made["certificates"],
        made["bounds"],
        made["truncation"][["cell", "functional_rank"]],
        **arguments.status,
    )
    fields = schema(SCHEMA_NAMES)
    ranks = [field for field in tables["spectra"].schema if field.name.startswith("rank_")]
    for field in [*ranks, schema(["functional_rank"]).field(0), *tables["bounds"].schema]:
        fields = fields if field.name in fields.names else fields.append(field)
    rows = pyarrow.Table.from_pandas(table[fields.names], schema=fields, preserve_index=False)
    inputs = itertools.chain.from_iterable(paths(arguments.results, stage, arguments.stacks) for stage in STAGES)
    files.write_parquet(arguments.output, rows, {"provenance": provenance.circumstances("gaps", inputs)})


if __name__ == "__main__":
    run(main)
