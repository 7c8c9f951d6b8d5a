# The verbs of this repository; each is a script of a few lines in scripts/.
.PHONY: help demo test lint check coverage bench format site

help:
	@echo "make demo     install into .venv, train on the data inside the package, extract, write a page"
	@echo "make test     install what is missing; check form, types and imports; run the tests"
	@echo "make lint     the form of the code         make check    types and imports"
	@echo "make format   rewrite the code's form      make bench    measure beside peers"
	@echo "make coverage every line and branch of the mathematics is tested, or it fails"

demo:
	@scripts/install demo
	@scripts/demo

test:
	@scripts/install test
	@scripts/lint
	@scripts/check
	@scripts/test

lint check coverage:
	@scripts/install test
	@scripts/$@

format:
	@scripts/install test
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench:
	@scripts/install benchmarks
	@scripts/bench

site:
	@scripts/install docs
	@scripts/site
