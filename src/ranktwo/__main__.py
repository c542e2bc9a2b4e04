"""The one entry of the package: `python -m ranktwo STAGE ...` runs a stage, `python -m ranktwo --help` lists them."""

import argparse
import gc
import importlib
import json
import signal
import sys
from pathlib import Path

from ranktwo import errors
from ranktwo.store import registry


def main() -> None:
    stages = registry.stages()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, stages))
        lines = [f"  {stage:<{width}}  {text}" for stage, text in stages.items()]
        text = "\n".join(["usage: python -m ranktwo STAGE [--help] ...", "", "Stages:", *lines])
        return errors.run(lambda: print(text))
    if name not in stages:
        near = registry.near_miss(name, stages)
        sys.exit(f"{errors.SIGN}{name} is not a stage; stages are {', '.join(stages)}{near}")
    common, rest = _common().parse_known_args(sys.argv[2:])
    sys.argv[:] = [f"python -m ranktwo {name}", *rest]
    errors.run(lambda: _run(name, common), common.log)


def _common() -> argparse.ArgumentParser:
    """What Snakemake gives to every stage, and a person may leave out."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--log", type=Path, help="file that standard error and tracebacks are also written to")
    parser.add_argument("--study", type=json.loads, help="JSON: the config's name and hash, for provenance")
    parser.add_argument("--identity", help="what the job was asked for, for provenance")
    return parser


def _run(name: str, common: argparse.Namespace) -> None:
    from ranktwo.store import provenance  # pyarrow takes a while, and `--help` needs none of it

    provenance.ASKED |= {"study": common.study, "identity": common.identity}
    # Imports make many objects that live on. Looking for garbage among them takes a tenth of the start.
    gc.disable()
    stage = importlib.import_module(f"ranktwo.stages.{name}")
    gc.freeze()
    gc.enable()
    stage.main()
    # All files are written. A signal now would end the job as failed, and Snakemake would delete them.
    for number in errors.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
