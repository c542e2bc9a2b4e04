"""The one entry of the package: `python -m ranktwo STAGE ...` runs a stage, `python -m ranktwo --help` lists them."""

import importlib
import sys

from ranktwo import errors
from ranktwo.store import registry


def main() -> None:
    stages = registry.stages()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, stages))
        lines = [f"  {stage:<{width}}  {text}" for stage, text in stages.items()]
        print("\n".join(["usage: python -m ranktwo STAGE [--help] ...\n", "Stages:", *lines]))
        return
    if name not in stages:
        near = registry.near_miss(name, stages)
        sys.exit(f"ranktwo: {name} is not a stage; stages are {', '.join(stages)}{near}")
    del sys.argv[1]
    sys.argv[0] = f"python -m ranktwo {name}"
    errors.run(importlib.import_module(f"ranktwo.stages.{name}").main)


if __name__ == "__main__":
    main()
