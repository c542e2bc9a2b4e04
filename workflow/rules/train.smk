"""Needs a data set. Makes the weights and the history of each stack's cells; trains only those it does not have yet."""


rule train:
    input:
        lambda wildcards: f"{RESULTS}/datasets/{STACKS[wildcards.stack][0].dataset}.safetensors",
    output:
        weights=update(f"{RESULTS}/runs/{{stack}}/weights.safetensors"),
        history=update(f"{RESULTS}/runs/{{stack}}/history.parquet"),
    log:
        f"{RESULTS}/logs/train/{{stack}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{stack}}.tsv"
    priority: lambda wildcards: PRIORITY[wildcards.stack]
    threads: lambda wildcards: processes(wildcards.stack)
    resources:
        gpu=0 if DEVICE == "cpu" else 1,
    params:
        job=lambda wildcards: training(wildcards.stack),
    shell:
        "exec python -m ranktwo.train"
        " --job {params.job:q}"
        " --dataset {input:q}"
        " --weights {output.weights:q}"
        " --history {output.history:q}"
        " --device {DEVICE}"
        " --processes {threads}"
        " --checkpoint {CHECKPOINT}"
        " --log {log:q}"
