# What a newcomer types. Each target installs what it lacks, see scripts/setup.

.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.tools/bin:$(PATH)

# Most tests wait, for a deadline or for somebody else; a few more of them at once than there are cores cost nothing.
export RUST_TEST_THREADS ?= 6

.PHONY: help run release test acceptance lint bench counts flood soak

help: ## say what there is
	@sed -n 's/^\([a-z]*\):[a-z ]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## start envgate with an environments service of its own behind it
	@scripts/setup build
	cargo run --profile fast --quiet -- serve

release: ## build target/release/envgate as it is shipped, trained by requests of all kinds, in a quarter of an hour
	@scripts/setup release
	scripts/release

test: ## run all tests, the official SDKs among them
	@scripts/setup test
	cargo test --locked

acceptance: ## run what needs other people's programs too: PgBouncer, Varnish, Prometheus, buildah, a systemd, kubectl; as root
	@scripts/setup acceptance
	cargo test --locked --test it -- --ignored acceptance:: --skip acceptance::operation
	@# Alone, for these keep a machine busy, and what is busy with other things answers late.
	cargo test --locked --test it -- --ignored acceptance::operation --test-threads 1 --nocapture

lint: ## check format, lints, and what the dependencies may be
	@scripts/setup lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo fetch --locked --quiet
	cargo deny --offline check --hide-inclusion-graph bans licenses sources

bench: release ## compare with other proxies, on one core, in twenty minutes; writes docs/benchmarks.md
	@scripts/setup bench
	cargo build --release --locked --quiet --manifest-path benches/peers/Cargo.toml --target-dir target/peers
	cd benches && python3 -m measure.side_by_side --write && python3 -m measure.growth --write

counts: ## count the instructions and allocations of a request, and say what has moved
	@scripts/setup counts
	cd benches && python3 -m measure.counts

flood: release ## hold 6,000 slow connections against it, and say what a normal client sees, in two minutes
	cd benches && python3 -m measure.flood

soak: release ## send 5,000,000 mixed requests, and see that memory stays flat
	@scripts/setup bench
	cargo build --release --locked --quiet --manifest-path benches/peers/Cargo.toml --target-dir target/peers
	cd benches && python3 -m measure.soak
