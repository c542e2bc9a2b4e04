"""Needs gaps.parquet and the tables that a figure reads beside it. Makes each figure as PDF, PNG and SVG, and as CSV of the numbers that it shows."""


rule figure:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        history=read_by("train", every("{results}/runs/{stack}/history.parquet")),
        analyses=lambda wildcards: every(
            "{results}/{analysis}/{stack}.parquet", RUN.analyses_of(wildcards.figure)
        ),
        layers=read_by("layers", rules.layers.output),
        optima=read_by("optimum", OPTIMA),
        weights=read_by(
            "measure", expand(rules.measure.output, weights=RUN.study["weights"])
        ),
        asked=RUN.asked("figure"),
    output:
        pdf=f"{RESULTS}/figures/{{figure}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="2 Figures",
            labels=lambda wildcards: {"figure": RUN.numbered(wildcards.figure)},
        ),
        svg=f"{RESULTS}/figures/{{figure}}.svg",
        csv=f"{RESULTS}/figures/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{figure}}.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.figure_identity(wildcards.figure),
        stacks=RUN.stacks_file,
        stacks_hash=RUN.stacks_hash,
        results=lambda wildcards, output: RESULTS,
        drawn=lambda wildcards, output: RUN.drawn(wildcards.figure),
        where=lambda wildcards, output: RUN.where(wildcards.figure),
        plane=lambda wildcards, output: RUN.plane(wildcards.figure),
        settings=lambda wildcards, output: RUN.figure_settings(wildcards.figure),
        width=lambda wildcards, output: RUN.figures[wildcards.figure]["width"],
        caption=lambda wildcards, output: RUN.caption(wildcards.figure),
    shell:
        "python -m ranktwo figure {params.drawn:q}"
        " --gaps {input.gaps:q}"
        " --results {params.results:q}"
        " --stacks {params.stacks:q}"
        " --stacks-hash {params.stacks_hash}"
        " --layers {input.layers:q}"
        " --optima {input.optima:q}"
        " --weights {input.weights:q}"
        " --where {params.where:q}"
        " --plane {params.plane:q}"
        " --settings {params.settings:q}"
        " --width {params.width}"
        " --pdf {output.pdf:q}"
        " --png {output.png:q}"
        " --svg {output.svg:q}"
        " --csv {output.csv:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
