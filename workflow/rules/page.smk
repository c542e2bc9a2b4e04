"""Needs the verdicts and the figures. Makes the page that is read first, one file that can be sent to a colleague."""


rule page:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        verdicts=f"{RESULTS}/verdicts.parquet",
        figures=expand(f"{RESULTS}/figures/{{figure}}.svg", figure=RUN.figures),
        asked=RUN.asked("page"),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/page.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.page_identity,
        config=lambda wildcards, output: RUN.as_run,
        captions=lambda wildcards, output: RUN.captions,
    shell:
        "python -m ranktwo page"
        " --config {params.config:q}"
        " --gaps {input.gaps:q}"
        " --verdicts {input.verdicts:q}"
        " --figures {input.figures:q}"
        " --captions {params.captions:q}"
        " --html {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
