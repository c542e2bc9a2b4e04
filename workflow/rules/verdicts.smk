"""Needs gaps.parquet and layers.parquet. Gives every claim of the paper its verdict: as rows, and as the page that a person reads first."""


rule verdicts:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        layers=f"{RESULTS}/layers.parquet",
        asked=RUN.asked("verdicts"),
    output:
        parquet=f"{RESULTS}/verdicts.parquet",
        md=f"{RESULTS}/verdicts.md",
        tex=f"{RESULTS}/verdicts.tex",
        html=report(
            f"{RESULTS}/verdicts.html",
            caption="../report/verdicts.rst",
            category="1 Verdicts",
            labels={"page": "verdicts"},
        ),
    log:
        f"{RESULTS}/logs/verdicts.log",
    benchmark:
        f"{RESULTS}/benchmarks/verdicts.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.verdicts_identity,
        thresholds=lambda wildcards, output: RUN.section("verdicts"),
    shell:
        "python -m ranktwo verdicts"
        " --gaps {input.gaps:q}"
        " --layers {input.layers:q}"
        " --thresholds {params.thresholds:q}"
        " --output {output.parquet:q}"
        " --md {output.md:q}"
        " --tex {output.tex:q}"
        " --html {output.html:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
