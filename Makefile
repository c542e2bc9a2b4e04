# Only make's own command line sets these: `make figures CORES=4`. Variables of the shell do not.
PYTHON := python3
VENV := .venv
STUDY := config.yaml
ROUNDS := 20
# OMP_NUM_THREADS would change what nproc counts.
CORES := $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || sysctl -n hw.ncpu)
INSTALLED := $(VENV)/.installed
ACTIVATE := . '$(VENV)/bin/activate'
RUN := $(ACTIVATE) && snakemake --cores $(CORES) --configfile '$(STUDY)'
PYTEST := '$(VENV)/bin/python' -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help figures report plan test test-all soak lint clean-env

help:            ## say what can be done
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24
	@echo "Variables: STUDY=$(STUDY) CORES=$(CORES) VENV=$(VENV) PYTHON=$(PYTHON)"

figures: $(INSTALLED) ## install into .venv and run the study: figures, tables, verdicts
	@$(RUN)

report: $(INSTALLED) ## run the study; write its page, report.html among its results, and Snakemake's report beside it
	@$(RUN) && $(ACTIVATE) && folder=$$(python -m ranktwo where '$(STUDY)') && \
	$(RUN) --quiet all --report "$$folder/workflow.html" && echo "Open $$folder/report.html"

plan: $(INSTALLED) ## say what the study would take: jobs, CPU time, memory, disk
	@$(RUN) --quiet all -- plan

test: $(INSTALLED) ## run the quick tests, in under five minutes on two cores
	@$(PYTEST) -m "not slow"

test-all: $(INSTALLED) ## run all tests: SLURM, kills, whole studies, browser and LaTeX as well
	@$(PYTEST)

soak: $(INSTALLED) ## kill and damage small studies again and again: make soak ROUNDS=500
	@'$(VENV)/bin/python' tests/soak.py --rounds $(ROUNDS)

lint: $(INSTALLED) ## check style, types and the workflow
	@$(ACTIVATE) && ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile workflow

clean-env:       ## remove the environment that make has installed
	@if [ -f '$(INSTALLED)' ]; then rm -rf -- '$(VENV)'; \
	else echo "$(VENV) was not installed by make: it has no file .installed; nothing is removed"; fi

$(INSTALLED): requirements.lock pyproject.toml
	@'$(PYTHON)' -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ranktwo needs Python 3.11 or newer; name one with make PYTHON=...")'
	@echo "Installing what requirements.lock names into $(VENV); this takes a minute or two."
	@'$(PYTHON)' -m venv '$(VENV)'
	@'$(VENV)/bin/python' -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	@# pip would compile on one core. Files that do not compile are templates that nothing imports.
	@'$(VENV)/bin/python' -m compileall -qq -j 0 -x 'site-packages/.*/tests?/' '$(VENV)/lib' || true
	@'$(VENV)/bin/python' -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch '$@'
