"""CIFAR-10, in the files in which torchvision keeps it."""

import warnings
from pathlib import Path

import numpy as np

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.fetching import damaged, ensure_files, file_content, md5_of, torchvision_datasets


@source("cifar10", rows=(50_000, 10_000), columns=3_072, kind="classification", classes=10, image=(32, 32, 3))
def cifar10(name: str, folder: Path, download: bool) -> Raw:
    """32 x 32 colour images of ten kinds of things, and the kind 0..9 (Krizhevsky 2009).

    Bytes 0..255 of an image lie row by row, pixel by pixel, in the order red, green, blue.
    """
    cifar = torchvision_datasets().CIFAR10
    published = [*cifar.train_list, *cifar.test_list, (cifar.meta["filename"], cifar.meta["md5"])]
    paths = {folder / cifar.base_folder / file: md5 for file, md5 in published}
    ensure_files(name, folder, paths, download, lambda temporary: cifar(temporary, download=True))
    # The files are pickles, which can run any code. torchvision checks them before it unpickles one, but its error does
    # not name the file.
    for path, md5 in paths.items():
        if md5_of(file_content(path)) != md5:
            raise damaged(path, "is not the published file (its checksum differs)")
    with warnings.catch_warnings(action="ignore"):  # numpy 2 warns of the way in which Python 2 pickled dtypes
        train, test = (cifar(folder, train=part) for part in (True, False))
    return Raw(
        kind="classification",
        train_x=train.data.reshape(len(train.data), -1),
        train_y=np.asarray(train.targets),
        test_x=test.data.reshape(len(test.data), -1),
        test_y=np.asarray(test.targets),
        verified="checksum",
    )
