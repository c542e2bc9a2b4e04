"""Needs the raw source: bundled, or in the data folder. Makes one file of standardised tensors for each data set."""


rule dataset:
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
        identity=lambda wildcards: RUN.dataset_identity(wildcards.dataset),
        options=lambda wildcards: RUN.options(wildcards.dataset),
    shell:
        "python -m ranktwo dataset"
        " --name {wildcards.dataset:q}"
        " --options {params.options:q}"
        " --folder {RUN.data_folder:q}"
        " {RUN.download}"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {STUDY:q}"
        " --log {log:q}"
