PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
STUDY ?= config.yaml
INSTALLED := $(VENV)/.installed
RUN := . $(VENV)/bin/activate && snakemake --cores $(CORES) --configfile $(STUDY)

.PHONY: help figures report plan test lint clean-env

help:            ## say what can be done
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24
	@echo "Variables: STUDY=$(STUDY) CORES=$(CORES) VENV=$(VENV) PYTHON=$(PYTHON)"

figures: $(INSTALLED) ## install into .venv and run the study: figures, tables, verdicts
	@$(RUN)

report: $(INSTALLED) ## run the study and put all of it into one HTML file, report.html
	@$(RUN) && $(RUN) --quiet all --report report.html && echo "Open report.html"

plan: $(INSTALLED) ## say what the study would take: jobs, CPU time, memory, disk
	@$(RUN) --quiet all -- plan

test: $(INSTALLED) ## run the tests
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile

lint: $(INSTALLED) ## check style, types and the workflow
	@. $(VENV)/bin/activate && ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile workflow

clean-env:       ## remove .venv
	rm -rf $(VENV)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ranktwo needs Python 3.11 or newer; name one with make PYTHON=...")'
	@echo "Installing what requirements.lock names into $(VENV); this takes a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
