"""Some rounds of the soak: kills at random moments, damaged files, random configs; `make soak` runs more of them."""

import subprocess
import sys

import pytest
from support import ROOT, environment, patience


@pytest.mark.slow
def test_kills_damage_and_random_configs_lose_nothing_and_change_no_byte():
    command = [sys.executable, str(ROOT / "tests" / "soak.py"), "--rounds", "2", "--seed", "1", "--seconds", "40"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=patience(300))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
