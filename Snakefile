"""Data sets, training, spectra, gaps, figures and tables of a study: config.yaml, or the one --configfile names."""

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/spectra.smk"
include: "workflow/rules/certificates.smk"
include: "workflow/rules/bounds.smk"
include: "workflow/rules/truncation.smk"
include: "workflow/rules/gaps.smk"
include: "workflow/rules/verdicts.smk"
include: "workflow/rules/predictors.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/numbers.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/plan.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        f"{RESULTS}/gaps.parquet",
        f"{RESULTS}/verdicts.md",
        f"{RESULTS}/predictors.md",
        f"{RESULTS}/numbers.tex",
        f"{RESULTS}/study.html",
        expand(
            "{results}/figures/{figure}.{kind}",
            results=RESULTS,
            figure=STUDY["figures"],
            kind=["pdf", "png", "csv"],
        ),
        expand(
            "{results}/tables/{table}.{kind}",
            results=RESULTS,
            table=TABLES,
            kind=["csv", "md", "tex"],
        ),


onsuccess:
    if "plan" not in sys.argv and Path(f"{RESULTS}/gaps.parquet").exists():
        print(closing())


onerror:
    print(
        f"\nWhat failed says why above, in a line that begins with `ranktwo:`, and in {RESULTS}/logs/."
    )
    # What a job says on this machine is on the screen already.
    if workflow.executor_plugin.common_settings.non_local_exec:
        said = failures(Path(RESULTS) / "logs", STARTED.timestamp())
        print("\nFailed jobs:", *said, sep="\n  ", file=sys.stderr)
        print(
            f"What other jobs said: {RESULTS}/logs, and SLURM's own logs in .snakemake/slurm_logs",
            file=sys.stderr,
        )
