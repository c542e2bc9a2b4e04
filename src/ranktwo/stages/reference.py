"""TODO stages.reference."""

import argparse

from ranktwo.report.reference import PAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", choices=PAGES, default="columns")
    print("\n".join(PAGES[parser.parse_args().page]()))


if __name__ == "__main__":
    run(main)
