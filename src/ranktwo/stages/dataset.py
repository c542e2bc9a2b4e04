"""Prepare one data set, in each split, as standardised tensors in a safetensors file."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ranktwo.analysis.critical import critical_decay
from ranktwo.data.dataset import tensors_of
from ranktwo.data.labels import targets
from ranktwo.data.options import Options, read_options
from ranktwo.data.preparation import prepare
from ranktwo.errors import UserError
from ranktwo.stages import parser
from ranktwo.store import files, provenance
from ranktwo.study import source_options


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--name", required=True, help="the data set's name in the study")
    arguments.add_argument("--options", required=True, help="JSON: an object with a source and other options")
    arguments.add_argument("--folder", required=True, type=Path, help="folder of the files of sources")
    arguments.add_argument(
        "--download", required=True, action=argparse.BooleanOptionalAction, help="whether to download absent files"
    )
    arguments.add_argument("--splits", type=int, nargs="*", default=[], help="numbers of splits to make besides 0")
    arguments.add_argument("--output", required=True, type=Path, help="safetensors file to write")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    try:
        options = read_options(given.options)
        tensors, metadata = prepare_with_critical_decay(given.name, options, given.folder, given.download, given.splits)
    except UserError as error:
        raise UserError(f"data set {given.name}: {error}") from error
    origin = provenance.circumstances("dataset", [], source=options.source)
    origin |= {"datasets": {given.name: metadata["checksum"]}, "inputs": source_options.hashes(metadata["options"])}
    files.write_tensors(given.output, tensors, {**metadata, "provenance": origin})


def prepare_with_critical_decay(
    name: str, options: Options, folder: Path, download: bool, splits: Iterable[int] = ()
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of `prepare`, and in the metadata also `critical_decay`, of each whole training part."""
    tensors, metadata = prepare(name, options, folder, download, splits)
    for facts in metadata["splits"]:
        # The order of the rows changes no critical decay.
        if facts["split"] and metadata["official_test"]:
            facts["critical_decay"] = metadata["critical_decay"]
            continue
        own = tensors_of(tensors, metadata, facts["split"])
        y = targets(own["train_y"], metadata["task"], metadata["outputs"])
        facts["critical_decay"], _ = critical_decay(own["train_x"], y, metadata["task"])
        metadata.setdefault("critical_decay", facts["critical_decay"])
    return tensors, metadata
