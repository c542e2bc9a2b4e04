"""Needs a data set and weights. Makes a row for each cell: generalization measures and bounds after training."""


rule bounds:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{STACKS[wildcards.stack][0].dataset}.safetensors",
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
    output:
        f"{RESULTS}/bounds/{{stack}}.parquet",
    log:
        f"{RESULTS}/logs/bounds/{{stack}}.log",
    params:
        job=lambda wildcards: job(wildcards.stack, "bounds", bounds=STUDY["bounds"]),
        settings=grid.canonical(STUDY["bounds"]),
    shell:
        "python -m ranktwo.bounds"
        " --job {params.job:q}"
        " --dataset {input.dataset:q}"
        " --weights {input.weights:q}"
        " --history {input.history:q}"
        " --settings {params.settings:q}"
        " --output {output:q}"
        " --log {log:q}"
