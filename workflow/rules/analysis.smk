"""Needs weights and the data set. Makes one table of each analysis: spectra, certificates, bounds, truncation."""


rule analysis:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{RUN.dataset_of(wildcards.stack)}.safetensors",
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
        asked=RUN.asked("analysis"),
    output:
        f"{RESULTS}/{{analysis}}/{{stack}}.parquet",
    log:
        f"{RESULTS}/logs/{{analysis}}/{{stack}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{analysis}}/{{stack}}.tsv"
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.analysis_identity(
            wildcards.analysis, wildcards.stack
        ),
        job=RUN.job_file,
        job_hash=RUN.job_hash,
        settings=lambda wildcards, output: RUN.analysis_settings(wildcards.analysis),
    shell:
        "python -m ranktwo analysis {wildcards.analysis:q}"
        " --job {params.job:q}"
        " --job-hash {params.job_hash}"
        " --dataset {input.dataset:q}"
        " --weights {input.weights:q}"
        " --history {input.history:q}"
        " --settings {params.settings:q}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
