"""TODO data.sources.published."""

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
from ranktwo.data.sources.base import Published

PUBLISHED = {
    "digits": Published(rows=(1_797,), shape=(64,), loader="load_digits"),
    "diabetes": Published(rows=(442,), shape=(10,), loader="load_diabetes"),
    "breast-cancer": Published(rows=(569,), shape=(30,), loader="load_breast_cancer"),
    "wine": Published(rows=(178,), shape=(13,), loader="load_wine"),
    "iris": Published(rows=(150,), shape=(4,), loader="load_iris"),
    "california": Published(
        rows=(20_640,),
        shape=(9,),
        loader="fetch_california_housing",
        sha256={"cal_housing_py3.pkz": "5a6e1850914c2dc94eba36c5f025d01a90c49c13269281ea222a3c38a957ab60"},
    ),
    "mnist": Published(
        rows=(60_000, 10_000),
        shape=(28, 28),
        loader="MNIST",
        sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Published(rows=(60_000, 10_000), shape=(28, 28), loader="FashionMNIST"),
    "kmnist": Published(rows=(60_000, 10_000), shape=(28, 28), loader="KMNIST"),
}
