"""Needs what every stack's stages made. Makes the one table that figures, tables and readers start from: a row per cell."""


rule gaps:
    input:
        history=every(f"{RESULTS}/runs/{{stack}}/history.parquet"),
        spectra=every(f"{RESULTS}/spectra/{{stack}}.parquet"),
        certificates=every(f"{RESULTS}/certificates/{{stack}}.parquet"),
        bounds=every(f"{RESULTS}/bounds/{{stack}}.parquet"),
        truncation=every(f"{RESULTS}/truncation/{{stack}}.parquet"),
    output:
        f"{RESULTS}/gaps.parquet",
    log:
        f"{RESULTS}/logs/gaps.log",
    localrule: True
    params:
        identity=grid.canonical([STUDY["status"], fingerprint("gaps")]),
        stacks=STACK_NAMES,
        status=grid.canonical(STUDY["status"]),
    shell:
        "python -m ranktwo.gaps"
        " --results {RESULTS:q}"
        " --stacks {params.stacks:q}"
        " --status {params.status:q}"
        " --output {output:q}"
        " --log {log:q}"
