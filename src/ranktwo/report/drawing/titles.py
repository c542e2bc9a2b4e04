"""The text of titles and labels: where it may break, and how it reads on one line."""


def unbroken(text: str) -> str:
    """The text with spaces at which no line breaks."""
    return text.replace(" ", "\u00a0")


def plain(text: str) -> str:
    """The text on one line, with ordinary spaces."""
    return text.replace("\u00a0", " ").replace("\n", ", ")
