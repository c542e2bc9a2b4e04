"""TODO stages.certificates."""

import torch

from ranktwo.analysis.certificates.table import table
from ranktwo.analysis.inputs import load_records, stage_parser
from ranktwo.data.dataset import load_data
from ranktwo.progress import Progress
from ranktwo.store import files, provenance


def main() -> None:
    arguments = stage_parser(__doc__, "dataset").parse_args()
    torch.set_num_threads(1)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    snapshots = sum(len(record.steps) for record in records.values())
    progress = Progress(f"{arguments.output.stem}: certificates of {len(records)} cells", snapshots, "cell-snapshots")
    result = table(records, load_data(arguments.dataset), progress)
    progress.close()
    files.write_parquet(
        arguments.output,
        result,
        {
            "provenance": provenance.circumstances(
                "certificates", [arguments.weights, arguments.history, arguments.dataset]
            )
        },
    )


if __name__ == "__main__":
    run(main)
