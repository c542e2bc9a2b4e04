"""Needs gaps.parquet, the spectra, the certificates and the truncated nets. Makes each figure as PDF and PNG."""

STYLE = SOURCE / "ranktwo" / "style.mplstyle"
CAPTIONS = Path(workflow.basedir) / "workflow" / "report" / "figures"


rule figure:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        spectra=every(f"{RESULTS}/spectra/{{stack}}.parquet"),
        certificates=every(f"{RESULTS}/certificates/{{stack}}.parquet"),
        truncation=every(f"{RESULTS}/truncation/{{stack}}.parquet"),
        style=STYLE,
    output:
        pdf=f"{RESULTS}/figures/{{figure}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    localrule: True
    params:
        identity=lambda wildcards: grid.canonical(
            [where(wildcards.figure), fingerprint("figures")]
        ),
        stacks=grid.packed(grid.canonical(list(STACKS))),
        where=lambda wildcards: grid.canonical(where(wildcards.figure)),
        caption=lambda wildcards: (CAPTIONS / f"{wildcards.figure}.rst").read_text(
            encoding="utf-8"
        ),
    shell:
        "python -m ranktwo.figures {wildcards.figure:q}"
        " --gaps {input.gaps:q}"
        " --results {RESULTS:q}"
        " --stacks {params.stacks:q}"
        " --where {params.where:q}"
        " --style {input.style:q}"
        " --pdf {output.pdf:q}"
        " --png {output.png:q}"
        " --log {log:q}"
