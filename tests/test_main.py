"""The one entry of the package, as a process."""

import os
import subprocess
import sys

from support import ROOT, patience


def test_a_signal_after_the_files_are_written_does_not_fail_the_job(tmp_path):
    """Snakemake deletes the files of a job that failed."""
    # Python runs a file of this name at its start, and what atexit holds after everything else.
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os\n"
        "from ranktwo.errors import SIGNALS\n"
        "atexit.register(lambda: [os.kill(os.getpid(), number) for number in SIGNALS])\n"
    )
    output = tmp_path / "iris.safetensors"
    options = ["--name", "it", "--options", '{"source": "iris"}', "--folder", str(tmp_path), "--no-download"]
    done = subprocess.run(
        [sys.executable, "-m", "ranktwo", "dataset", *options, "--output", str(output)],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=patience(10),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert output.exists()
