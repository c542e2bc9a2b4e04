"""Needs gaps.parquet. Makes each table as CSV (numbers in full), Markdown and LaTeX."""

TABLES = ["results", "grid"]


rule table:
    input:
        f"{RESULTS}/gaps.parquet",
    output:
        csv=f"{RESULTS}/tables/{{table}}.csv",
        md=f"{RESULTS}/tables/{{table}}.md",
        tex=f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{RESULTS}/logs/tables/{{table}}.log",
    localrule: True
    params:
        identity=fingerprint("tables"),
    shell:
        "python -m ranktwo.tables {wildcards.table:q}"
        " --gaps {input:q}"
        " --csv {output.csv:q}"
        " --md {output.md:q}"
        " --tex {output.tex:q}"
        " --log {log:q}"
