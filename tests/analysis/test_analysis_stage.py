"""The stage `analysis`: its tables are the same to the bit, however many processes share the cells."""

import pytest

from ranktwo.store import files

NAMES = ("spectra", "certificates", "truncation", "optimality", "baseline")


@pytest.mark.parametrize("processes", [2, 3])
def test_cells_that_share_processes_have_the_same_tables(processes, run_analysis):

    def tables(count: int) -> dict:
        folder = run_analysis.folder / f"by-{count}"
        run_analysis.stage(*NAMES, "--results", str(folder), f"--processes={count}")
        return {name: files.read_parquet(folder / name / "toy.parquet", name)[0] for name in NAMES}

    one, several = tables(1), tables(processes)
    for name in NAMES:
        assert one[name].equals(several[name]), name
        cells = one[name]["cell"].to_pylist()
        assert list(dict.fromkeys(cells)) == list(run_analysis.records) and cells == sorted(cells, key=cells.index)
