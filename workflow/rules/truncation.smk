"""Needs a data set and weights. Makes a row for each cell: losses and scores with V truncated to every rank."""


rule truncation:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{STACKS[wildcards.stack][0].dataset}.safetensors",
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
    output:
        f"{RESULTS}/truncation/{{stack}}.parquet",
    log:
        f"{RESULTS}/logs/truncation/{{stack}}.log",
    params:
        job=lambda wildcards: job(wildcards.stack, "truncation"),
    shell:
        "python -m ranktwo.truncation"
        " --job {params.job:q}"
        " --dataset {input.dataset:q}"
        " --weights {input.weights:q}"
        " --history {input.history:q}"
        " --output {output:q}"
        " --log {log:q}"
