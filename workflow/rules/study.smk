"""Needs gaps.parquet. Makes the config as it was run, every default filled in, and a page of it for the report."""


rule study:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        asked=RUN.asked("study"),
    output:
        yaml=f"{RESULTS}/study.yaml",
        html=report(
            f"{RESULTS}/study.html",
            caption="../report/study.rst",
            category="4 Study",
            labels={"page": "config and provenance"},
        ),
    log:
        f"{RESULTS}/logs/study.log",
    benchmark:
        f"{RESULTS}/benchmarks/study.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.study_identity,
        config=lambda wildcards, output: RUN.as_run,
    shell:
        "python -m ranktwo study"
        " --config {params.config:q}"
        " --gaps {input.gaps:q}"
        " --yaml {output.yaml:q}"
        " --html {output.html:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
