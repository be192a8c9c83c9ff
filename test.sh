#!/usr/bin/env bash
# Passes the tests: sets up what they need, then formatting, lints and every tier. The exit status is that of the whole.
#   ./test.sh [ARGS of cargo test..]      e.g. ./test.sh --test live
# RDBG_NO_REAL=1 does without the downloads: the tests on the real Envoy and workerd then say SKIPPED.
set -euo pipefail
cd "$(dirname "$0")"
exec 2>&1

if [ "${RDBG_NO_REAL:-}" = 1 ]; then
  scripts/setup --no-real
else
  scripts/setup
  export RDBG_REQUIRE_ALL=1 # a test that cannot run fails
fi

status=0
step() {
  echo "== $*"
  "$@" || { status=$?; echo "== FAILED ($status): $*"; }
}

step cargo fmt --all --check
step cargo clippy --locked --all-targets -- -D warnings
# One at a time: a test that forks while another one writes a program would make that program busy (ETXTBSY).
tests() { cargo test --locked --no-fail-fast "$@" -- --test-threads=1; }
if [ $# -gt 0 ]; then
  step tests "$@"
else
  step cargo test --locked --no-run
  # The live tests mostly wait: what looks at files alone runs beside them, and is shown when they have ended.
  tests --lib --bins --test offline >target/offline.log & offline=$!
  step tests --test live
  step wait $offline
  cat target/offline.log
fi

if [ $status = 0 ]; then echo "== all passed"; else echo "== some failed"; fi
exit $status
