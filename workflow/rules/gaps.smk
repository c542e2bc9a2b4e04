"""Needs the training and the analyses of every stack. Makes the table that all later stages start from: a row per cell."""


rule gaps:
    input:
        history=every("{results}/runs/{stack}/history.parquet"),
        analyses=every("{results}/{analysis}/{stack}.parquet"),
        optima=OPTIMA,
        asked=RUN.asked("gaps"),
    output:
        f"{RESULTS}/gaps.parquet",
    log:
        f"{RESULTS}/logs/gaps.log",
    benchmark:
        f"{RESULTS}/benchmarks/gaps.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.gaps_identity,
        stacks=RUN.stacks_file,
        stacks_hash=RUN.stacks_hash,
        status=lambda wildcards, output: RUN.section("status"),
        results=lambda wildcards, output: RESULTS,
    shell:
        "python -m ranktwo gaps"
        " --results {params.results:q}"
        " --stacks {params.stacks:q}"
        " --stacks-hash {params.stacks_hash}"
        " --optima {input.optima:q}"
        " --status {params.status:q}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
