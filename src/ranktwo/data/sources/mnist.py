"""MNIST, in the files in which torchvision keeps it."""

from pathlib import Path

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.idx import read_images

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@source("mnist", rows=(60_000, 10_000), columns=784, kind="classification", classes=10, image=(28, 28, 1))
def mnist(name: str, folder: Path, download: bool) -> Raw:
    """28 x 28 images of handwritten digits, grey values 0..255, and the digit 0..9 (LeCun et al. 1998)."""
    return read_images(name, folder, download, "MNIST", SHA256)
