"""Needs gaps.parquet. Scores how well every bound, measure and rank orders the cells by their generalization gap."""


rule predictors:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        asked=RUN.asked("predictors"),
    output:
        parquet=f"{RESULTS}/predictors.parquet",
        csv=f"{RESULTS}/predictors.csv",
        md=f"{RESULTS}/predictors.md",
        tex=f"{RESULTS}/predictors.tex",
        html=report(
            f"{RESULTS}/predictors.html",
            caption="../report/predictors.rst",
            category="1 Verdicts",
            labels={"page": "what predicts the gap"},
        ),
    log:
        f"{RESULTS}/logs/predictors.log",
    benchmark:
        f"{RESULTS}/benchmarks/predictors.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.identity("predictors"),
    shell:
        "python -m ranktwo predictors"
        " --gaps {input.gaps:q}"
        " --output {output.parquet:q}"
        " --csv {output.csv:q}"
        " --md {output.md:q}"
        " --tex {output.tex:q}"
        " --html {output.html:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
