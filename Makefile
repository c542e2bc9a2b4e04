# make figures   install into .venv and run the default study
# make plan      say what the study would take: jobs, CPU time, memory, disk; STUDY=FILE for another than config.yaml
# make test      install and run the tests
# make lint      check style
# make clean-env remove .venv

PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
INSTALLED := $(VENV)/.installed

.PHONY: figures plan test lint clean-env

figures: $(INSTALLED)
	@. $(VENV)/bin/activate && snakemake --cores $(CORES)
	@echo "Figures: results/figures/  Tables: results/tables/  Numbers, a row per cell: results/gaps.parquet"

plan: $(INSTALLED)
	@. $(VENV)/bin/activate && snakemake --cores $(CORES) --quiet all $(if $(STUDY),--configfile $(STUDY)) -- plan

test: $(INSTALLED)
	@$(VENV)/bin/python -m pytest

lint: $(INSTALLED)
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/snakefmt --check Snakefile workflow

clean-env:
	rm -rf $(VENV)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ranktwo needs Python 3.11 or newer; name one with make PYTHON=...")'
	@echo "Installing what requirements.lock names into $(VENV); this takes a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
