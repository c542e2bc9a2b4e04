"""KMNIST, in the files in which torchvision keeps it."""

from pathlib import Path

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.idx import read_images


@source("kmnist", rows=(60_000, 10_000), columns=784, kind="classification", classes=10, image=(28, 28, 1))
def kmnist(name: str, folder: Path, download: bool) -> Raw:
    """28 x 28 images of ten handwritten Japanese characters, grey values 0..255 (Clanuwat et al. 2018)."""
    return read_images(name, folder, download, "KMNIST")
