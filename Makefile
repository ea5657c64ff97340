# Every target does its own set-up. make up leaves the demonstration running; make down stops it.
.PHONY: setup build jar up down demo authzen-fixture test check bench faults fuzz laws ha-test

SHELL := /bin/bash
DEMO := target/debug/demo
JAR := keycloak-extension/target/marque-keycloak.jar
BENCH := --release --manifest-path benches/Cargo.toml --target-dir target/bench-build
JAR_SOURCES := keycloak-extension/pom.xml $(shell find keycloak-extension/src/main keycloak-theme -type f)

# Queries are checked against the committed description of the database, not against a running one.
export SQLX_OFFLINE := true

setup:
	@scripts/setup

build: jar | setup
	@cargo build --workspace --all-features

jar: $(JAR)

$(JAR): $(JAR_SOURCES) | setup
	@mvn --quiet --batch-mode --file keycloak-extension/pom.xml package -DskipTests
	@touch $@

up: build
	@$(DEMO) up

down:
	@[ -x $(DEMO) ] && [ -x target/debug/marque ] || $(MAKE) build
	@$(DEMO) down

demo: build
	@$(DEMO) run

# Loads the fixture of the AuthZEN certification scenario into the running demonstration; see docs/reference/authzen.md.
authzen-fixture: build
	@$(DEMO) authzen-fixture

check: | setup
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@cargo clippy --workspace --all-features --all-targets -- -D warnings

test:
	@scripts/test

# Measures the core and the gate, beside peers where there are any, then a running server; see docs/performance.md.
bench: build
	@$(DEMO) keycloak
	@cargo build $(BENCH) --package marque-bench
	@cargo run $(BENCH) --package marque-bench-peers
	@cargo build --release --package marque
	@cargo run $(BENCH) --package marque-bench-server

# What make test does a share of: fifty crashes of the server in ten thousand exchanges, ten of its database, a replica that
# is paused for a minute. Brings up a stack of its own, in target/faults.
faults: build
	@$(DEMO) up --dir target/faults --port-base 7600
	@MARQUE_FAULTS=all MARQUE_STACK=$(CURDIR)/target/faults/env.json cargo test --all-features --test it -- \
	    --nocapture --test-threads 1 crashes:: overload:: replicas:: || { $(DEMO) down --dir target/faults; exit 1; }
	@$(DEMO) down --dir target/faults

# Longer than make test does it: a minute for each target, going on from what earlier runs found.
fuzz: | setup
	@scripts/fuzz --seconds 60

# The attenuation laws over a million generated pairs of envelopes, and exhaustively over a small universe; some minutes.
laws:
	@MARQUE_LAWS_PAIRS=1000000 cargo test --release --package marque-core --test laws -- --nocapture --test-threads 2

# Kills the leader of a Postgres cluster (Patroni, etcd, PgBouncer: installed where they are missing) under load; two minutes.
ha-test: | setup
	@scripts/ha-test
