"""Needs weights. Makes a row for each cell, snapshot and weight matrix: singular values and ranks."""


rule spectra:
    input:
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
    output:
        f"{RESULTS}/spectra/{{stack}}.parquet",
    log:
        f"{RESULTS}/logs/spectra/{{stack}}.log",
    params:
        job=lambda wildcards: job(wildcards.stack, "spectra"),
    shell:
        "python -m ranktwo.spectra"
        " --job {params.job:q}"
        " --weights {input.weights:q}"
        " --history {input.history:q}"
        " --output {output:q}"
        " --log {log:q}"
