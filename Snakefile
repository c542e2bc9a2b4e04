"""From a study to its figures, tables, verdicts and report. The study is config.yaml, or what --configfile names."""

from snakemake.utils import min_version

min_version("9.17")


include: "workflow/rules/common.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/optimum.smk"
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
        rules.gaps.output,
        rules.verdicts.output,
        rules.predictors.output,
        rules.numbers.output,
        rules.study.output,
        expand(rules.figure.output, figure=RUN.figures),
        expand(rules.table.output, table=RUN.tables),


onstart:
    hear_sigterm()


onsuccess:
    if "plan" not in sys.argv and Path(f"{RESULTS}/gaps.parquet").exists():
        print(closing(RESULTS))


onerror:
    print(
        failed(
            RESULTS,
            STARTED,
            remote=workflow.executor_plugin.common_settings.non_local_exec,
        ),
        file=sys.stderr,
    )
