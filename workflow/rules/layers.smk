"""Needs gaps.parquet and the analyses. Makes the table by layer: a row for each cell and matrix."""


rule layers:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        analyses=every("{results}/{analysis}/{stack}.parquet"),
        asked=RUN.asked("layers"),
    output:
        f"{RESULTS}/layers.parquet",
    log:
        f"{RESULTS}/logs/layers.log",
    benchmark:
        f"{RESULTS}/benchmarks/layers.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=RUN.layers_identity,
        stacks=RUN.stacks_file,
        stacks_hash=RUN.stacks_hash,
        results=lambda wildcards, output: RESULTS,
    shell:
        "python -m ranktwo layers"
        " --gaps {input.gaps:q}"
        " --results {params.results:q}"
        " --stacks {params.stacks:q}"
        " --stacks-hash {params.stacks_hash}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
