"""Show the study as it was run: its config with every default, and the software and machine that made gaps.parquet."""

import json
from pathlib import Path

import yaml

from ranktwo.evidence import gaps
from ranktwo.report import pages
from ranktwo.stages import parser
from ranktwo.store import files


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=json.loads, required=True, help="JSON: the study, defaults filled in")
    arguments.add_argument("--gaps", type=Path, required=True, help="gaps.parquet of the study")
    arguments.add_argument("--yaml", type=Path, required=True, help="config file to write; Snakemake can read it")
    arguments.add_argument("--html", type=Path, required=True, help="page to write")
    given = arguments.parse_args()
    provenance = files.read_metadata(given.gaps)["provenance"]
    origin = gaps.origin(gaps.read("gaps", given.gaps))
    config, made_by = (yaml.safe_dump(part, sort_keys=False, width=100) for part in (given.config, provenance))
    parts = ["gaps.parquet was made by:", pages.code(made_by)]
    parts += ["The config, every default filled in:", pages.code(config)]
    pages.write(
        {
            given.yaml: f"# As run, with every default; from {origin}.\n{config}",
            given.html: pages.to_html("The study", origin, *parts),
        }
    )
