"""Needs gaps.parquet. Makes each table as CSV (numbers in full), Markdown, LaTeX and HTML."""


rule table:
    input:
        gaps=f"{RESULTS}/gaps.parquet",
        asked=RUN.asked("table"),
    output:
        csv=f"{RESULTS}/tables/{{table}}.csv",
        md=f"{RESULTS}/tables/{{table}}.md",
        tex=f"{RESULTS}/tables/{{table}}.tex",
        html=report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../report/table.rst",
            category="3 Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"{RESULTS}/logs/tables/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/{{table}}.tsv"
    localrule: True
    params:
        study=RUN.label,
        identity=lambda wildcards: RUN.table_identity(wildcards.table),
        caption=lambda wildcards, output: RUN.table_caption(wildcards.table),
    shell:
        "python -m ranktwo table {wildcards.table:q}"
        " --gaps {input.gaps:q}"
        " --csv {output.csv:q}"
        " --md {output.md:q}"
        " --tex {output.tex:q}"
        " --html {output.html:q}"
        " --identity {params.identity:q}"
        " --study {params.study:q}"
        " --log {log:q}"
