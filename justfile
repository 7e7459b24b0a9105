# What a developer does here, by name. `.ci/run` does the same without just.

default: check test

# Formatting, lints, docs.
check:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# The bridge's own tests, and the fixture's.
test-bridge:
    cd assets/bridge && npm ci --omit=peer --omit=optional --ignore-scripts --no-audit --no-fund && npm test

# 10,000 bursts of messages within milliseconds over 200 chats, in memory and on a disk.
bursts:
    HERMES_PAIRS=10000 cargo test --locked --release --lib -- wakeups --nocapture

# Everything that README.md and docs/ promise.
test:
    cargo test --locked

# Virtual days of five platforms with everything going wrong, one for each seed.
simulate SEEDS="100000":
    HERMES_SIMULATE={{SEEDS}} cargo test --locked --release --test suite -- simulator --nocapture

# Licences, sources and bans.
deny:
    cargo deny check bans licenses sources

# The figures of docs/reliability.md, each beside its floor.
bench:
    cargo bench --locked --bench figures
    cargo bench --locked --bench flood
    cargo bench --locked --bench path -- --all
    cargo bench --locked --bench telegram
    cargo bench --locked --bench supervisor
