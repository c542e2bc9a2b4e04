"""TODO data.sources.california."""

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
from ranktwo.data.sources.fetching import damaged, ensure_files, file_content
from ranktwo.data.sources.published import PUBLISHED


@source("california")
def _california(name: str, folder: Path, download: bool) -> Raw:
    """scikit-learn's California Housing: eight features of 20,640 districts, the median price in 100,000 dollars.

    The cache file is a zlib-compressed pickle, and a pickle can run anything, so it is never unpickled. The array's
    nine columns are the last bytes but one (the pickle's STOP), and their checksum says that they are as published.
    """
    published = PUBLISHED[name]
    [(file, checksum)] = published.sha256.items()
    path = folder / file

    def fetch(temporary: Path) -> None:
        import sklearn.datasets

        sklearn.datasets.fetch_california_housing(data_home=temporary, n_retries=1)

    ensure_files(name, folder, [path], download, fetch)
    shape = published.shape + published.rows
    size = 8 * math.prod(shape)
    header = 1 << 16  # far more than any header; what expands to more than this and the array is something else
    with contextlib.suppress(zlib.error):
        content = zlib.decompressobj().decompress(file_content(path), size + header)[-1 - size : -1]
        if hashlib.sha256(content).hexdigest() == checksum:
            columns = np.frombuffer(content, "<f8").reshape(shape)
            price, income, age, rooms, bedrooms, people, households, latitude, longitude = columns
            rooms, bedrooms, occupants = (total / households for total in (rooms, bedrooms, people))
            x = np.stack([income, age, rooms, bedrooms, people, occupants, latitude, longitude], axis=1)
            return Raw(kind="regression", train_x=x, train_y=price / 100_000, verified="checksum")
    raise damaged(path, "does not hold the published California Housing data")
