"""Needs gaps.parquet and the verdicts. Makes LaTeX macros for every verdict and headline number."""


rule numbers:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        verdicts=f"{RESULTS}/verdicts.parquet",
        asked=RUN.asked("numbers"),
    output:
        f"{RESULTS}/numbers.tex",
    log:
        f"{RESULTS}/logs/numbers.log",
    benchmark:
        f"{RESULTS}/benchmarks/numbers.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.identity("numbers"),
    shell:
        "python -m ranktwo numbers"
        " --gaps {input.gaps:q}"
        " --verdicts {input.verdicts:q}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
