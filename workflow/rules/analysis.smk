"""Needs weights and the data set. Makes one table of each registered analysis."""


# One process for all analyses of a stack. It leaves a table alone that is what it is asked for.
rule analysis:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{RUN.dataset_of(wildcards.stack)}.safetensors",
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
        asked=RUN.asked("analysis"),
    output:
        [update(f"{RESULTS}/{analysis}/{{stack}}.parquet") for analysis in RUN.analyses],
    log:
        f"{RESULTS}/logs/analysis/{{stack}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/analysis/{{stack}}.tsv"
    threads: lambda wildcards: RUN.processes(wildcards.stack)
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.analysis_identities(wildcards.stack),
        job=RUN.job_file,
        job_hash=RUN.job_hash,
        results=lambda wildcards, output: RESULTS,
        settings=lambda wildcards, output: RUN.analysis_settings,
    shell:
        "python -m ranktwo analysis"
        " --job {params.job:q}"
        " --job-hash {params.job_hash}"
        " --dataset {input.dataset:q}"
        " --weights {input.weights:q}"
        " --history {input.history:q}"
        " --settings {params.settings:q}"
        " --results {params.results:q}"
        " --processes {threads}"
        " --identities {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"


# An analysis that a figure of the study reads and nothing else.
use rule analysis as on_demand with:
    input:
        dataset=lambda wildcards: f"{RESULTS}/datasets/{RUN.dataset_of(wildcards.stack)}.safetensors",
        weights=f"{RESULTS}/runs/{{stack}}/weights.safetensors",
        history=f"{RESULTS}/runs/{{stack}}/history.parquet",
        asked=RUN.asked("on_demand"),
    output:
        f"{RESULTS}/{{analysis}}/{{stack}}.parquet",
    log:
        f"{RESULTS}/logs/{{analysis}}/{{stack}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{analysis}}/{{stack}}.tsv"
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.analysis_identities(
            wildcards.stack, wildcards.analysis
        ),
        job=RUN.job_file,
        job_hash=RUN.job_hash,
        results=lambda wildcards, output: RESULTS,
        settings=lambda wildcards, output: RUN.analysis_settings,
