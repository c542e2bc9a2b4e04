"""TODO data.sources.cifar10."""

import argparse
import contextlib
import difflib
import gzip
import hashlib
import json
import math
import os
import socket
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
import numpy as np
import torch
from torch import Tensor
from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.fetching import damaged, ensure_files, file_content, md5_of, torchvision_datasets


@source("cifar10")
def _cifar10(name: str, folder: Path, download: bool) -> Raw:
    """CIFAR-10: bytes 0..255 of 32 x 32 images, flattened row by row, pixel by pixel, red, green, blue; labels 0..9."""
    cifar = torchvision_datasets().CIFAR10
    published = [*cifar.train_list, *cifar.test_list, (cifar.meta["filename"], cifar.meta["md5"])]
    paths = {folder / cifar.base_folder / file: md5 for file, md5 in published}
    ensure_files(name, folder, paths, download, lambda temporary: cifar(temporary, download=True))
    # The batches are pickles. torchvision compares every checksum before it unpickles one; so do we, to name the file.
    for path, md5 in paths.items():
        if md5_of(file_content(path)) != md5:
            raise damaged(path, "is not the published file (its checksum differs)")
    with warnings.catch_warnings(action="ignore"):  # some numpy 2 on how Python 2 pickled dtypes
        train, test = (cifar(folder, train=part) for part in (True, False))
    return Raw(
        kind="classification",
        train_x=train.data.reshape(len(train.data), -1),
        train_y=np.asarray(train.targets),
        test_x=test.data.reshape(len(test.data), -1),
        test_y=np.asarray(test.targets),
        verified="checksum",
    )
