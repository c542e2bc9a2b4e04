"""TODO stages.plan."""

import argparse
import json
from pathlib import Path

from ranktwo.study import jobs
from ranktwo.study.plan import read, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", required=True, help="JSON, maybe packed: stack -> what its training is asked for")
    parser.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    arguments = parser.parse_args()
    jobs = json.loads(jobs.unpacked(arguments.jobs))
    print(report([read(name, job, arguments.results) for name, job in jobs.items()], arguments.device))


if __name__ == "__main__":
    run(main)
