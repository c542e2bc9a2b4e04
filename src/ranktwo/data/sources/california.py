"""California Housing, in the file in which scikit-learn keeps it."""

import contextlib
import hashlib
import zlib
from pathlib import Path

import numpy as np

from ranktwo.data.sources.base import Raw, declared, source
from ranktwo.data.sources.fetching import damaged, ensure_files, file_content

FILE = "cal_housing_py3.pkz"
SHA256 = "5a6e1850914c2dc94eba36c5f025d01a90c49c13269281ea222a3c38a957ab60"
"""Of the array's bytes in the file, unpacked."""
HEADER = 1 << 16
"""Bytes that may stand before the array, far more than a header takes. A file that unpacks to more is another one."""


@source("california", rows=(20_640,), columns=8, kind="regression")
def california(name: str, folder: Path, download: bool) -> Raw:
    """Eight features of 20,640 districts and the median price in 100,000 dollars (Pace and Barry 1997).

    The file is a zlib-compressed pickle. A pickle can run any code, so it is never unpickled. Its last byte is the
    pickle's STOP, and the bytes before that are the nine columns of the array. Their checksum says that they are the
    published ones.
    """
    path = folder / FILE

    def fetch(temporary: Path) -> None:
        import sklearn.datasets

        sklearn.datasets.fetch_california_housing(data_home=temporary, n_retries=1)

    ensure_files(name, folder, [path], download, fetch)
    [rows] = declared(name).rows
    size = 8 * 9 * rows
    with contextlib.suppress(zlib.error):
        content = zlib.decompressobj().decompress(file_content(path), size + HEADER)[-1 - size : -1]
        if hashlib.sha256(content).hexdigest() == SHA256:
            columns = np.frombuffer(content, "<f8").reshape(9, rows)
            price, income, age, rooms, bedrooms, people, households, latitude, longitude = columns
            rooms, bedrooms, occupants = (total / households for total in (rooms, bedrooms, people))
            x = np.stack([income, age, rooms, bedrooms, people, occupants, latitude, longitude], axis=1)
            return Raw(kind="regression", train_x=x, train_y=price / 100_000, verified="checksum")
    raise damaged(path, "does not hold the published California Housing data")
