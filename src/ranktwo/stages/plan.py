"""Say what a study would take: jobs, cells, CPU time, memory and disk, of what is not there yet."""

import json
from pathlib import Path

from ranktwo.stages import parser
from ranktwo.study import jobs
from ranktwo.study.plan import plan


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    jobs.add_stacks_argument(arguments)
    arguments.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where nets are trained")
    arguments.add_argument("--optima", type=json.loads, required=True, help="JSON: the config's section `optima`")
    given = arguments.parse_args()
    print(plan(given.results, jobs.stacks_of(given), given.device, given.optima))
