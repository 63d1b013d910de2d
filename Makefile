# What a newcomer types. Each target installs what it lacks, see scripts/setup.

.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.tools/bin:$(PATH)

# Most tests wait, for a deadline or for somebody else; a few more of them at once than there are cores cost nothing.
export RUST_TEST_THREADS ?= 6

.PHONY: help run test acceptance lint bench flood

help: ## say what there is
	@sed -n 's/^\([a-z]*\): ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## start envgate with an environments service of its own behind it
	@scripts/setup build
	cargo run --profile fast --quiet -- serve

test: ## run all tests, the official SDKs among them
	@scripts/setup test
	cargo test --locked

acceptance: ## run what needs PgBouncer and Varnish beside PostgreSQL and Redis
	@scripts/setup acceptance
	cargo test --locked --test it -- --ignored acceptance::

lint: ## check format, lints, and what the dependencies may be
	@scripts/setup lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo fetch --locked --quiet
	cargo deny --offline check --hide-inclusion-graph bans licenses sources

bench: ## compare with nginx and a bare Pingora, on one core, in some minutes
	@scripts/setup bench
	cargo build --release --locked --quiet
	cargo build --release --locked --quiet --manifest-path benches/peers/Cargo.toml --target-dir target/peers
	python3 benches/side_by_side.py

flood: ## hold 6,000 slow connections against it, and say what a normal client sees, in two minutes
	@scripts/setup build
	cargo build --release --locked --quiet
	python3 benches/flood.py
