"""Prints what the study would take, of cells that are not there yet: `snakemake --cores 1 plan`."""


rule plan:
    localrule: True
    params:
        results=RESULTS,
        stacks=RUN.stacks_file,
        device=RUN.study["device"],
        optima=RUN.section("optima"),
    shell:
        "python -m ranktwo plan"
        " --results {params.results:q}"
        " --stacks {params.stacks:q}"
        " --device {params.device}"
        " --optima {params.optima:q}"
