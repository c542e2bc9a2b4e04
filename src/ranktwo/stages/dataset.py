"""TODO stages.dataset."""

import argparse
from pathlib import Path

import torch

from ranktwo.data.options import read_options
from ranktwo.data.preparation import prepare
from ranktwo.errors import UserError
from ranktwo.store.files import write_tensors
from ranktwo.store.provenance import circumstances

# The command.


def main() -> None:
    """Prepare one data set and write it."""
    parser = argparse.ArgumentParser(description="Prepare one data set as standardised tensors in a safetensors file.")
    parser.add_argument("--name", required=True, help="what the study calls it")
    parser.add_argument("--options", required=True, help="a JSON object with a source and, if not as by default, more")
    parser.add_argument("--folder", required=True, type=Path, help="where files of data sets lie or are downloaded to")
    parser.add_argument("--download", required=True, action=argparse.BooleanOptionalAction, help="may it download?")
    parser.add_argument("--output", required=True, type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        prepared = prepare(arguments.name, read_options(arguments.options), arguments.folder, arguments.download)
    except UserError as error:
        raise UserError(f"data set {arguments.name}: {error}") from error
    tensors, metadata = prepared
    origin = circumstances("datasets") | {"datasets": {metadata["name"]: metadata["checksum"]}}
    write_tensors(arguments.output, tensors, {**metadata, "provenance": origin})


if __name__ == "__main__":
    run(main)
