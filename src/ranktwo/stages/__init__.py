"""One thin file per rule of the workflow, of the rule's name: arguments in, one call of the library, files out."""

import argparse
import sys


def parser(description: str | None) -> argparse.ArgumentParser:
    """A stage's parser of arguments; `description` is its file's docstring."""
    return argparse.ArgumentParser(
        prog=sys.argv[0], description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def positive(text: str) -> int:
    """A number of processes."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number
