"""The study as it was run: its config with every default, and what software and machine its cells went through."""

import argparse
import json
from pathlib import Path

import yaml

from ranktwo.evidence import gaps
from ranktwo.report import pages
from ranktwo.store import files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="JSON: the study, defaults filled in")
    parser.add_argument("--gaps", type=Path, required=True)
    for kind in ("yaml", "html"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    made = files.read_metadata(arguments.gaps)["provenance"]
    origin = gaps.origin(gaps.read("gaps", arguments.gaps))
    config, made_by = (yaml.safe_dump(part, sort_keys=False, width=100) for part in (arguments.config, made))
    # A study's file: it can be given to --configfile as it is.
    content = {arguments.yaml: f"# As run, with every default; from {origin}.\n{config}"}
    parts = ["gaps.parquet was made by:", pages.code(made_by), "The config, every default filled in:"]
    content[arguments.html] = pages.to_html("The study", origin, *parts, pages.code(config))
    pages.write(content)


if __name__ == "__main__":
    run(main)
