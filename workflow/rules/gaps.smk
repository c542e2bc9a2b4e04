"""Needs the training and the analyses of every stack. Makes the table that all later stages start from: a row per cell."""


rule gaps:
    input:
        history=every("{results}/runs/{stack}/history.parquet"),
        analyses=every("{results}/{analysis}/{stack}.parquet"),
    output:
        f"{RESULTS}/gaps.parquet",
    log:
        f"{RESULTS}/logs/gaps.log",
    benchmark:
        f"{RESULTS}/benchmarks/gaps.tsv"
    localrule: True
    params:
        identity=RUN.gaps_identity,
        stacks=lambda wildcards: RUN.write_jobs(write=runs()),
        stacks_hash=RUN.stacks_hash,
        status=RUN.section("status"),
    shell:
        "python -m ranktwo gaps"
        " --results {RESULTS:q}"
        " --stacks {params.stacks:q}"
        " --stacks-hash {params.stacks_hash}"
        " --status {params.status:q}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {STUDY:q}"
        " --log {log:q}"
