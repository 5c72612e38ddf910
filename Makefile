# What a developer runs; each target says what it does. Needs a shell, git, make and Python 3.11 or newer.
# Pass options of pytest in ARGS: make test ARGS="-k journal"; with -n0 tests run one after the other, with all output.

ARGS =
# Two files of tests at a time: most of those with real components wait.
BESIDE = -n 2 --dist loadfile
BIN = .venv/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check

help:
	@echo "make demo       meter a real build, show its report"
	@echo "make test       install what the tests need and run all of them"
	@echo "make test-fast  the tests that need no real components"
	@echo "make check      ruff, mypy --strict, import-linter"
	@echo "make bench      run the benchmarks"
	@echo "make accuracy   compare with the kernel's accounts again, rewrite the tables of docs/accuracy.md"
	@echo "make golden     rewrite the golden files from what the code says now"
	@echo "make picture    draw the pictures of the documentation from real builds"
	@echo "make lock       pin the newest versions of all packages, with hashes"
	@echo "make clean      remove everything that these targets made"

demo: .venv/runtime
	@scripts/install-packages gcc=gcc /usr/include/stdio.h=libc6-dev
	@scripts/demo

test: .venv/test
	scripts/prepare-e2e
	$(BIN)/pytest $(BESIDE) $(ARGS)

test-fast: .venv/test
	$(BIN)/pytest $(BESIDE) -m "not e2e" $(ARGS)

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test
	scripts/bench

picture: .venv/test
	scripts/prepare-e2e
	PYTHONPATH=.:src $(BIN)/python scripts/picture.py
	PYTHONPATH=.:src $(BIN)/python scripts/fleet_picture.py
	JOBMETER_PICTURES=write $(BIN)/pytest tests/e2e/test_page_pictures.py tests/e2e/test_referee_prometheus.py

accuracy: .venv/test
	scripts/prepare-e2e
	JOBMETER_ACCURACY=write $(BIN)/pytest tests/e2e/test_run_cpu_truth.py tests/e2e/test_collector_cpu.py \
	    tests/e2e/test_exporter_truth.py $(ARGS)

golden: .venv/test
	JOBMETER_GOLDEN=write $(BIN)/pytest -m "not e2e" $(ARGS)
	git status --short tests/golden docs deploy

lock: .venv/dev
	scripts/lock

clean:
	rm -rf .venv .cache build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/runtime: requirements/runtime.txt pyproject.toml
	@scripts/make-venv
	@touch $@

.venv/test: requirements/test.txt .venv/runtime
	$(PIP) install --require-hashes --requirement requirements/test.txt
	@touch $@

.venv/dev: requirements/dev.txt .venv/test
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

.PHONY: help demo test test-fast check bench picture golden lock clean
