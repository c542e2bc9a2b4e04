"""Prints what the study would take, of cells that are not there yet: `snakemake --cores 1 plan`."""


rule plan:
    localrule: True
    params:
        stacks=lambda wildcards: RUN.write_jobs(write=runs()),
    shell:
        "python -m ranktwo plan"
        " --results {RESULTS:q}"
        " --stacks {params.stacks:q}"
        " --device {RUN.study[device]}"
