"""Needs gaps.parquet, spectra, certificates and truncated nets. Makes each figure as PDF, PNG, and CSV of what it shows."""

STYLE = SOURCE / "ranktwo" / "style.mplstyle"


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
            category="2 Figures",
            labels=lambda wildcards: {"figure": numbered(wildcards.figure)},
        ),
        csv=f"{RESULTS}/figures/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    localrule: True
    params:
        identity=lambda wildcards: grid.canonical(
            [
                STUDY["figures"][wildcards.figure],
                fingerprint("figures", figure=wildcards.figure),
            ]
        ),
        stacks=STACK_NAMES,
        where=lambda wildcards: grid.canonical(
            STUDY["figures"][wildcards.figure]["where"]
        ),
        width=lambda wildcards: STUDY["figures"][wildcards.figure]["width"],
        caption=lambda wildcards: caption(wildcards.figure),
    shell:
        "python -m ranktwo.figures {wildcards.figure:q}"
        " --gaps {input.gaps:q}"
        " --results {RESULTS:q}"
        " --stacks {params.stacks:q}"
        " --where {params.where:q}"
        " --width {params.width}"
        " --style {input.style:q}"
        " --pdf {output.pdf:q}"
        " --png {output.png:q}"
        " --csv {output.csv:q}"
        " --log {log:q}"
