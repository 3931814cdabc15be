#!/usr/bin/env bash
# Runs the tests against the fake libraries under valgrind: no invalid access, no use of what is uninitialised, no
# leak of what only an object of TensorRT pointed to. Installs valgrind where it is missing and can be; otherwise
# says that it is skipped, or fails if VALGRIND_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")/../../.."

if ! command -v valgrind >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && apt-get install -y -qq valgrind; } >/dev/null 2>&1 || true
    fi
fi
if ! command -v valgrind >/dev/null; then
    echo "SKIPPED tensorrt-rs under valgrind: it is not installed and cannot be"
    [ -z "${VALGRIND_REQUIRED:-}" ] || exit 1
    exit 0
fi

export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
program=$(cargo test -p tensorrt-rs --locked --test fakes --no-run --message-format=json |
    sed -n 's/.*"name":"fakes".*"executable":"\([^"]*\)".*/\1/p' | tail -1)
test -x "$program"

# Without valgrind first: this compiles the fakes.
"$program" --quiet

# One version of each major, with `all` as first argument every one (three times as long). One thread at a time is
# valgrind's way anyway; the processes that some tests start are not traced.
if [ "${1:-}" = all ]; then
    shift
else
    export FAKE_VERSIONS=8.5,10.3,11.4
fi
valgrind --version
valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite --num-callers=30 --fair-sched=yes \
    --suppressions=crates/tensorrt-rs/tests/valgrind.supp "$program" --test-threads=1 "$@"
