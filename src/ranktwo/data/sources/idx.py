"""MNIST and the sets in its format: 28 x 28 grey images of ten classes in IDX files, as torchvision keeps them."""

import gzip
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ranktwo.data.sources.base import Raw, declared
from ranktwo.data.sources.fetching import damaged, ensure_files, file_content, md5_of, torchvision_datasets

IMAGE = (28, 28)
FILES = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
"""Images and labels of the training part, then of the test part."""


def read_images(
    name: str, folder: Path, download: bool, torchvision_name: str, sha256: Mapping[str, str] | None = None
) -> Raw:
    """Pixels 0..255 of the images, row by row, and labels 0..9, of the declared numbers of rows.

    torchvision_name: of its class for these data, which is also the folder's name.
    sha256: of the published files' content, by file name, where it is known.
    """
    paths = [folder / torchvision_name / "raw" / file for file in FILES]

    def fetch(temporary: Path) -> None:
        getattr(torchvision_datasets(), torchvision_name)(temporary, download=True)

    ensure_files(name, folder, paths, download, fetch)
    arrays, verified = [], []
    for path, rows in zip(paths, np.repeat(declared(name).rows, 2).tolist(), strict=True):
        content = file_content(path)
        images = "images" in path.name
        arrays.append(_read_idx(path, content, (rows, *IMAGE) if images else (rows,)))
        if not images and arrays[-1].max() > 9:
            raise damaged(path, f"holds the label {arrays[-1].max()} where 0 to 9 are possible")
        verified.append(_is_published(path, content, torchvision_name, sha256 or {}))
        # The sets for which a checksum may be missing, Fashion-MNIST and KMNIST, have equally many rows of each class.
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
    """The array of an IDX file, checked against `shape`. The file is a magic number, the sizes, then the bytes."""
    start = 4 * (1 + len(shape))
    if len(content) < start:
        raise damaged(path, f"is truncated ({len(content)} bytes)")
    magic, *sizes = np.frombuffer(content[:start], ">u4").tolist()
    if magic != 0x0800 + len(shape):
        raise damaged(path, f"is not an IDX file of {len(shape)}-dimensional bytes (magic number {magic:#010x})")
    if tuple(sizes) != shape:
        given, expected = (" x ".join(map(str, numbers)) for numbers in (sizes, shape))
        raise damaged(path, f"says it holds {given} bytes where {expected} are expected")
    if len(content) - start != math.prod(shape):
        raise damaged(path, f"has {len(content) - start} bytes of content where it says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _is_published(path: Path, content: bytes, torchvision_name: str, sha256: Mapping[str, str]) -> bool:
    """Whether a checksum says that the file is the published one: its own, or that of the archive beside it.

    False if there is neither. UserError if one differs.
    """
    if path.name in sha256:
        if hashlib.sha256(content).hexdigest() != sha256[path.name]:
            raise damaged(path, "is not the published file (its checksum differs)")
        return True
    archive = path.with_name(f"{path.name}.gz")
    if not archive.exists():
        return False
    packed = file_content(archive)
    if md5_of(packed) != dict(getattr(torchvision_datasets(), torchvision_name).resources)[archive.name]:
        raise damaged(archive, "is not the published archive (its checksum differs)")
    if gzip.decompress(packed) != content:
        raise damaged(path, f"is not what the archive {archive.name} beside it holds")
    return True
