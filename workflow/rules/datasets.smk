"""Needs the raw source: bundled, in the data folder, or the user's own file. Makes one file of standardised tensors for each data set."""


rule dataset:
    input:
        asked=RUN.asked("dataset"),
        own=lambda wildcards: RUN.own_files(wildcards.dataset),
    output:
        f"{RESULTS}/datasets/{{dataset}}.safetensors",
    log:
        f"{RESULTS}/logs/datasets/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/datasets/{{dataset}}.tsv"
    # The longest training may wait for it.
    priority: len(RUN.stacks) + 1
    localrule: True
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.dataset_identity(wildcards.dataset),
        options=lambda wildcards, output: RUN.options(wildcards.dataset),
        splits=lambda wildcards, output: RUN.splits(wildcards.dataset),
        folder=lambda wildcards, output: RUN.data_folder,
        download=lambda wildcards, output: RUN.download,
    shell:
        "python -m ranktwo dataset"
        " --name {wildcards.dataset:q}"
        " --options {params.options:q}"
        " --splits {params.splits}"
        " --folder {params.folder:q}"
        " {params.download}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
