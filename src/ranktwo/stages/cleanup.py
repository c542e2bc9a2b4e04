"""TODO stages.cleanup."""

import argparse
from pathlib import Path

from ranktwo.study import config
from ranktwo.study.cleanup import Wanted, clean_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="+", help="every study whose results are to stay")
    parser.add_argument("--delete", action="store_true", help="delete what is listed; without it, nothing is changed")
    arguments = parser.parse_args()
    studies = [config.load(path) for path in arguments.config]
    folders = {Path(study["results"]) for study in studies}
    for results in sorted(folders):
        wanted = Wanted()
        for study in studies:
            if Path(study["results"]) == results:
                wanted.add(study)
        clean_folder(results, wanted, delete=arguments.delete)


if __name__ == "__main__":
    run(main)
