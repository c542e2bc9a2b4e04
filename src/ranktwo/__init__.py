"""Does weight decay make weight matrices low rank, and is that why neural networks generalize?"""

__version__ = "0.1.0"
