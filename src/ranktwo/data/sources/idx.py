"""TODO data.sources.idx."""

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
from ranktwo.data.sources.base import Published, Raw, source
from ranktwo.data.sources.fetching import damaged, ensure_files, file_content, md5_of, torchvision_datasets
from ranktwo.data.sources.published import PUBLISHED


@source("mnist", "fashion-mnist", "kmnist")
def _idx(name: str, folder: Path, download: bool) -> Raw:
    """MNIST and the sets in its format: pixels 0..255 of 28 x 28 images, row by row, and labels 0..9."""
    published = PUBLISHED[name]
    stems = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    paths = [folder / published.loader / "raw" / stem for stem in stems]

    def fetch(temporary: Path) -> None:
        getattr(torchvision_datasets(), published.loader)(temporary, download=True)

    ensure_files(name, folder, paths, download, fetch)
    arrays, verified = [], []
    for path, rows in zip(paths, np.repeat(published.rows, 2).tolist(), strict=True):
        content = file_content(path)
        images = "images" in path.name
        arrays.append(_read_idx(path, content, (rows, *published.shape) if images else (rows,)))
        if not images and arrays[-1].max() > 9:
            raise damaged(path, f"holds the label {arrays[-1].max()} where 0 to 9 are possible")
        verified.append(_is_published(path, content, published))
        # Fashion-MNIST and KMNIST, for which a checksum may be missing, are exactly balanced.
        if not images and not verified[-1] and len(set(np.bincount(arrays[-1], minlength=10))) > 1:
            raise damaged(path, "does not hold equally many labels of each class, as the published file does")
    train_x, train_y, test_x, test_y = arrays
    return Raw(
        kind="classification",
        train_x=train_x.reshape(len(train_x), -1),
        train_y=train_y,
        test_x=test_x.reshape(len(test_x), -1),
        test_y=test_y,
        verified="checksum" if all(verified) else "structure",
    )


def _read_idx(path: Path, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of an IDX file as an array of the expected shape: a magic number, the sizes, then exactly the bytes."""
    start = 4 * (1 + len(shape))
    if len(content) < start:
        raise damaged(path, f"is truncated ({len(content)} bytes)")
    magic, *sizes = np.frombuffer(content[:start], ">u4").tolist()
    if magic != 0x0800 + len(shape):
        raise damaged(path, f"is not an IDX file of {len(shape)}-dimensional bytes (magic number {magic:#010x})")
    if tuple(sizes) != shape:
        expected, found = (" x ".join(map(str, some)) for some in (shape, sizes))
        raise damaged(path, f"says it holds {found} bytes where {expected} are expected")
    if len(content) - start != math.prod(shape):
        raise damaged(path, f"has {len(content) - start} bytes of content where it says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _is_published(path: Path, content: bytes, published: Published) -> bool:
    """Whether a checksum, the file's own or that of the archive it came in, says that it is the published one.

    False where neither is at hand; UserError where one differs.
    """
    if path.name in published.sha256:
        if hashlib.sha256(content).hexdigest() != published.sha256[path.name]:
            raise damaged(path, "is not the published file (its checksum differs)")
        return True
    archive = path.with_name(f"{path.name}.gz")
    if not archive.exists():
        return False
    packed = file_content(archive)
    if md5_of(packed) != dict(getattr(torchvision_datasets(), published.loader).resources)[archive.name]:
        raise damaged(archive, "is not the published archive (its checksum differs)")
    if gzip.decompress(packed) != content:
        raise damaged(path, f"is not what the archive {archive.name} beside it holds")
    return True
