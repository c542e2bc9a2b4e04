"""Needs a data set. Finds the minimisers of the decayed loss of two-layer nets, without training, for one data set each."""


rule optimum:
    input:
        dataset=f"{RESULTS}/datasets/{{dataset}}.safetensors",
        asked=RUN.asked("optimum"),
    output:
        update(f"{RESULTS}/optima/{{dataset}}.parquet"),
    log:
        f"{RESULTS}/logs/optima/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/optima/{{dataset}}.tsv"
    threads: lambda wildcards: RUN.solvers(wildcards.dataset)
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.optimum_identity(wildcards.dataset),
        stacks=RUN.stacks_file,
        stacks_hash=RUN.stacks_hash,
        results=lambda wildcards, output: RESULTS,
        settings=lambda wildcards, output: RUN.section("optima"),
    shell:
        "python -m ranktwo optimum"
        " --results {params.results:q}"
        " --stacks {params.stacks:q}"
        " --stacks-hash {params.stacks_hash}"
        " --dataset {input.dataset:q}"
        " --settings {params.settings:q}"
        " --processes {threads}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
