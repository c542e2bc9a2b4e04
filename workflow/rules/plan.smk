"""Needs the data sets. Prints what the study would take that is not there yet: `snakemake --cores 1 plan`."""


rule plan:
    input:
        expand(
            "{results}/datasets/{dataset}.safetensors",
            results=RESULTS,
            dataset=sorted({cells[0].dataset for cells in STACKS.values()}),
        ),
    localrule: True
    params:
        # Put together only if it is asked for: every start of Snakemake reads this file.
        jobs=lambda wildcards: grid.packed(
            grid.canonical({stack: training(stack) for stack in STACKS})
        ),
    shell:
        "python -m ranktwo.plan"
        " --jobs {params.jobs:q}"
        " --results {RESULTS:q}"
        " --device {DEVICE}"
