"""The nets, one file each: `blueprint.py` says what a file has to hold."""
