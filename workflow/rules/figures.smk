"""Needs gaps.parquet, spectra, certificates and truncated nets. Makes each figure as PDF, PNG, and CSV of what it shows."""

STYLE = SOURCE / "ranktwo" / "style.mplstyle"
SEEDS = len({cell.seed for cells in STACKS.values() for cell in cells})
MEDIANS = "lines are their medians, bands reach from the least to the greatest."


def caption(figure: str) -> str:
    """What the figure's function says after its first line, and over how many seeds."""
    seen, _, meaning = registered("figure")[figure].partition("\n\n")
    return f"{meaning or seen}\n\nThe study has {SEEDS} seeds, n of which are behind a panel; {MEDIANS}"


def numbered(figure: str) -> str:
    """`03 ranks`: the report sorts by name, and figures are to be read in the config's order."""
    return f"{list(STUDY['figures']).index(figure) + 1:02d} {figure}"


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
        stacks=grid.packed(grid.canonical(list(STACKS))),
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
