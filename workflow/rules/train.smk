"""Needs a data set. Makes the weights and the history of each stack's cells; trains only cells that are not there yet."""


rule train:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{RUN.dataset_of(wildcards.stack)}.safetensors",
        asked=RUN.asked("train"),
    output:
        weights=update(f"{RESULTS}/runs/{{stack}}/weights.safetensors"),
        history=update(f"{RESULTS}/runs/{{stack}}/history.parquet"),
    log:
        f"{RESULTS}/logs/train/{{stack}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{stack}}.tsv"
    priority: lambda wildcards: RUN.priorities[wildcards.stack]
    threads: lambda wildcards: RUN.processes(wildcards.stack)
    resources:
        gpu=0 if RUN.study["device"] == "cpu" else 1,
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.training_identity(wildcards.stack),
        job=RUN.job_file,
        job_hash=RUN.job_hash,
        device=lambda wildcards, output: RUN.study["device"],
        checkpoint=lambda wildcards, output: RUN.study["checkpoint"],
    shell:
        "exec python -m ranktwo train"
        " --job {params.job:q}"
        " --job-hash {params.job_hash}"
        " --dataset {input.dataset:q}"
        " --weights {output.weights:q}"
        " --history {output.history:q}"
        " --device {params.device}"
        " --processes {threads}"
        " --checkpoint {params.checkpoint}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
