# The two commands of a newcomer: make demo, make test.
.PHONY: demo test walkthrough setup check bench test-slow test-runners faults scale clean

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

# Runs and jobs that are killed, attacked, cut off, poisoned, erased, compared or taken to stores, and
# searches of many sizes: a target of their own.
SLOW := tests/erasure tests/faults tests/history tests/dataflow tests/synthesize/test_run.py \
  tests/line/test_object_store.py tests/line/test_object_store_faults.py tests/line/test_poison.py \
  tests/line/test_poison_records.py tests/line/test_cold_kernels.py tests/line/test_adversary.py \
  tests/shards/test_poison_texts.py tests/shards/test_shard_faults.py \
  tests/near_duplicates/test_sweep.py

test: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist loadfile --ignore=tests/test_walkthrough.py \
	  $(SLOW:%=--ignore=%)

test-slow: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist loadfile $(SLOW)

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

# The demo on Spark, Flink and Prism, and workers killed: about half an hour. What is needed is
# gathered into .peers by Maven, pip and go; without Java or go the tests in question are skipped.
test-runners: $(READY)
	runners=$$(PYTHON=$(BIN)/python infra/runners/gather.sh .peers) && eval "$$runners" && \
	  $(BIN)/python -m pytest -q -rs --durations=0 --durations-min=10 tests/runners

# Kills, cuts, fills and damages whole runs, and compares: about ten minutes.
# Workers of other runners are killed by test-runners.
faults: $(READY)
	$(BIN)/python tests/faults/run.py

# Unit costs at three sizes, for `tokenmill estimate` and docs/scale.md.
scale: $(READY)
	$(BIN)/python benchmarks/scale.py --write

clean:
	rm -rf $(VENV) work
