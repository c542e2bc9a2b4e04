"""Needs the raw source (bundled, or in the data folder). Makes one file of standardised tensors for each data set."""


rule dataset:
    output:
        f"{RESULTS}/datasets/{{dataset}}.safetensors",
    log:
        f"{RESULTS}/logs/datasets/{{dataset}}.log",
    # Short, and the longest training may wait for it.
    priority: len(STACKS) + 1
    localrule: True
    params:
        # Snakemake compares the set of a job's parameters, so one of them holds all that the result depends on.
        identity=lambda wildcards: grid.canonical(
            [
                STUDY["datasets"][wildcards.dataset],
                fingerprint(
                    "datasets", source=STUDY["datasets"][wildcards.dataset]["source"]
                ),
            ]
        ),
        options=lambda wildcards: grid.canonical(STUDY["datasets"][wildcards.dataset]),
    shell:
        "python -m ranktwo.datasets"
        " --name {wildcards.dataset:q}"
        " --options {params.options:q}"
        " --folder {DATA_FOLDER:q}"
        " {DOWNLOAD}"
        " --output {output:q}"
        " --log {log:q}"
