#!/usr/bin/env bash
# Runs the tests of layout, accessors, handshake, access and hostile bytes under valgrind: no invalid access, no use of what is
# uninitialised (also not by the kernel, which is told addresses and lengths), no leak. Installs valgrind where it is missing
# and can be; otherwise says that it is skipped, or fails if VALGRIND_REQUIRED is set.
#
# Behind the last word of a file a mapping goes on to the end of its page, and there valgrind sees nothing wrong. So the unit
# tests of src/words.rs have words on the heap and files of whole pages, and fuzz/run.sh checks the bounds.
set -euo pipefail
cd "$(dirname "$0")/../../.."

if ! command -v valgrind >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && apt-get install -y -qq valgrind; } >/dev/null 2>&1 || true
    fi
fi
if ! command -v valgrind >/dev/null; then
    echo "SKIPPED ring under valgrind: it is not installed and cannot be"
    [ -z "${VALGRIND_REQUIRED:-}" ] || exit 1
    exit 0
fi

export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
programs=$(cargo test -p occdepth-ring --locked --lib \
    --test abi --test headers --test hostile --test clients --test processes --test stream --no-run \
    --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
[ "$(wc -l <<<"$programs")" = 7 ]

# One of the tests is about many threads at once, which valgrind runs one at a time: it takes longer than all others.
# The processes that some tests start are not traced.
export PROPTEST_CASES=${PROPTEST_CASES:-8} RING_HOSTILE_ROUNDS=${RING_HOSTILE_ROUNDS:-30}
valgrind --version
for program in $programs; do
    valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite --num-callers=30 --fair-sched=yes \
        "$program" --test-threads=1 --skip many_readers_see_only_whole_grids "$@"
done
