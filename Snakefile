"""The study in config.yaml, or what --configfile names: `snakemake` finds this file, and conventions the one it includes."""


include: "workflow/Snakefile"


# Snakemake forgets the default target of a file that is included.
workflow.default_target = "all"
