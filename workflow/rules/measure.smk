"""Needs a file of weights trained elsewhere. Makes a table of the ranks of its matrices, as for the study's own nets."""


rule measure:
    input:
        file=lambda wildcards: RUN.study["weights"][wildcards.weights]["path"],
        asked=RUN.asked("measure"),
    output:
        f"{RESULTS}/weights/{{weights}}.parquet",
    log:
        f"{RESULTS}/logs/weights/{{weights}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weights/{{weights}}.tsv"
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.weights_identity(wildcards.weights),
    shell:
        "python -m ranktwo measure {input.file:q}"
        " --quiet"
        " --output {output:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
