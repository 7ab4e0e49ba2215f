# The two commands of a newcomer: make demo, make test.
.PHONY: demo test walkthrough setup check bench clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Locked versions with hashes, then this checkout. Kernels are compiled once, so that the first
# command that needs one does not wait for the compiler.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	  || { echo "tokenmill needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pipelines.annotate.warm & \
	  $(BIN)/python -m pipelines.extract.warm && wait $$!
	@touch $(READY)

setup: $(READY)

# Pages and texts of examples/ to token shards of three training stages.
demo: $(READY)
	$(BIN)/tokenmill demo

test: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist loadfile --ignore=tests/test_walkthrough.py

# Types every command of the documents: two minutes of whole runs.
walkthrough: $(READY)
	$(BIN)/python -m pytest -q tests/test_walkthrough.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipelines annotators mixtures tokenize/token_shards benchmarks
	$(BIN)/python -m pytest -q -n auto --dist loadfile

# Needs the peer: pip install 'datatrove[io,processing]' spacy in a venv of its own, named by
# BENCH_PYTHON.
bench: $(READY)
	$(BIN)/python benchmarks/end_to_end.py
	$(BIN)/python benchmarks/annotate.py

clean:
	rm -rf $(VENV) work
