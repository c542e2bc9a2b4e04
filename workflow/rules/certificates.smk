"""Needs weights and the data set. Makes a row for each cell, snapshot and matrix: how far it can be from low rank."""


rule certificates:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{STACKS[wildcards.stack][0].dataset}.safetensors",
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
    output:
        f"{RESULTS}/certificates/{{stack}}.parquet",
    log:
        f"{RESULTS}/logs/certificates/{{stack}}.log",
    params:
        job=lambda wildcards: job(wildcards.stack, "certificates"),
    shell:
        "python -m ranktwo.certificates"
        " --job {params.job:q}"
        " --dataset {input.dataset:q}"
        " --weights {input.weights:q}"
        " --history {input.history:q}"
        " --output {output:q}"
        " --log {log:q}"
