"""Which config files Snakemake was given, checked before it reads them."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ranktwo.errors import SIGN, UserError
from ranktwo.study import config as configuration


def check_files(paths: Iterable[str]) -> None:
    """End Snakemake with one sentence if one of these files is no config; to be called before Snakemake reads them.

    `--configfile` takes every word up to the next option, and so a target that stands behind the study.
    """
    for number, path in enumerate(paths):
        try:
            configuration.check(Path(os.path.relpath(path)))
        except UserError as error:
            hint = " (--configfile takes every word up to the next option: name targets before it)" if number else ""
            sys.exit(f"{SIGN}{error}{hint}")


def study_files(snakemake: Any, root: Path) -> list[str]:
    """The config files of the study that Snakemake runs; none where another workflow uses this one as a module.

    A study is one file: --configfile replaces the default study. Several --configfile are merged by Snakemake. Without
    one, it is config.yaml of the working folder or, where there is none, of the checkout.
    """
    if snakemake.modifier.skip_configfile:
        return []
    given = list(map(str, snakemake.overwrite_configfiles or []))
    paths = given or ["config.yaml" if Path("config.yaml").exists() else str(root / "config.yaml")]
    check_files(paths)
    return paths
