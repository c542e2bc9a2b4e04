"""Prints the table of all columns that docs/columns.md holds."""

from ranktwo import bounds, columns
from ranktwo.errors import run


def main() -> None:
    print("| column | type | meaning |\n|---|---|---|")
    for name, (kind, text) in (columns.COLUMNS | bounds.COLUMNS).items():
        print(f"| `{name}` | {kind} | {text.replace('|', chr(92) + '|')} |")


if __name__ == "__main__":
    run(main)
