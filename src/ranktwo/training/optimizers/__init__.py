"""The optimizers, one file each: `base.py` says what a file has to hold."""
