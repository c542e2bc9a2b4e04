"""Fashion-MNIST, in the files in which torchvision keeps it."""

from pathlib import Path

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.idx import read_images


@source("fashion-mnist", rows=(60_000, 10_000), columns=784, kind="classification", classes=10, image=(28, 28, 1))
def fashion_mnist(name: str, folder: Path, download: bool) -> Raw:
    """28 x 28 images of clothes, grey values 0..255, and the kind 0..9 (Xiao et al. 2017)."""
    return read_images(name, folder, download, "FashionMNIST")
