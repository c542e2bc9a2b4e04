"""Measure ranks, norms and distances from low rank of all matrices in files of weights, of any net.

Reads .safetensors, .npz, and PyTorch state dicts (.pt, .pth, .bin); code in a file is never run.
"""

from pathlib import Path

import torch

from ranktwo.analysis import measured, weight_files
from ranktwo.errors import UserError
from ranktwo.report import measured as report
from ranktwo.report import pages
from ranktwo.stages import parser
from ranktwo.store import files, provenance

TABLES = (".parquet", ".csv")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE", help="file of weights")
    arguments.add_argument(
        "--output",
        action="append",
        default=[],
        type=Path,
        help="table to write, .parquet (with the singular values) or .csv; may be given twice",
    )
    arguments.add_argument("--quiet", action="store_true", help="print no table")
    arguments.add_argument("--figure", type=Path, help="figure to write: every matrix's singular values")
    given = arguments.parse_args()
    for path, formats in [*((path, TABLES) for path in given.output), (given.figure, report.FORMATS)]:
        if path and path.suffix.lower() not in formats:
            raise UserError(f"cannot write {path}: its name must end in {' or '.join(formats)}; choose another")
    torch.set_num_threads(1)
    weights = [weight_files.read(path) for path in dict.fromkeys(given.files)]
    table = measured.of_files(weights)
    rows = table.to_pylist()
    if not given.quiet:
        print(report.text(rows, {str(file.path): file.left_out for file in weights}))
    for path in given.output:
        if path.suffix.lower() == ".csv":
            pages.write({path: pages.to_csv(table.drop_columns("singular_values").to_pandas())})
        else:
            inputs = {str(file): provenance.file_hash(file) for file in given.files}
            origin = provenance.circumstances("measure") | {"inputs": inputs}
            files.write_parquet(path, table, {"provenance": origin})
    if given.figure:
        report.draw(rows, given.figure)
