#!/usr/bin/env bash
# Fuzzes the ring, guided by coverage: src/lib.rs says what is arbitrary and what must hold.
#
#   run.sh [SECONDS [TARGET...]]     each target for so many seconds (5), all of them unless some are named
#
# Starts from seeds/ and, unless RING_FUZZ_SEED says otherwise (0: another one each time), from the same random seed: the
# same inputs come first in every run. They are not the same to the last one, as what libFuzzer keeps depends on what other
# threads did meanwhile; an input that fails is kept, and fails again. RING_FUZZ_CORPUS names a folder that keeps what was
# found from one run to the next.
#
# RING_FUZZ_NIGHTLY=1 builds with AddressSanitizer by the nightly compiler: slower, and sees accesses and leaks that nobody
# else does. Not part of the gate, which has stable Rust only.
#
# Needs a C++ compiler for libFuzzer. Without one it says that it is skipped, or fails if RING_FUZZ_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-5}
[ $# -eq 0 ] || shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(layout segment answer client)

if ! command -v "${CXX:-c++}" >/dev/null; then
    echo "SKIPPED ring fuzz: no C++ compiler"
    [ -z "${RING_FUZZ_REQUIRED:-}" ] || exit 1
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work CARGO_TERM_COLOR=never RUST_BACKTRACE=1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../../target}/ring-fuzz
# They would take the place of those in .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS

build=(cargo build --release --locked --quiet)
if [ -n "${RING_FUZZ_NIGHTLY:-}" ]; then
    build=(cargo +nightly build --release --locked --quiet --config 'build.rustflags=["-Zsanitizer=address"]')
    CARGO_TARGET_DIR+=-asan
fi
"${build[@]}"
binaries=$CARGO_TARGET_DIR/$(rustc -vV | sed -n 's/^host: //p')/release
artifacts=$CARGO_TARGET_DIR/artifacts
mkdir -p "$artifacts"

# One input a line, in hexadecimal.
unpack() {
    local line count=0
    mkdir -p "$2"
    while read -r line; do
        printf '%b' "$line" > "$2/$((count += 1))"
    done < <(sed '/^#/d; s/../\\x&/g' "$1")
}

failed=()
for target in "${targets[@]}"; do
    unpack "seeds/$target.hex" "$work/seeds-$target"
    corpus=${RING_FUZZ_CORPUS:-$work}/$target
    mkdir -p "$corpus"
    log=$work/$target.log
    code=0
    "$binaries/$target" -seed="${RING_FUZZ_SEED:-1}" -max_total_time="$seconds" -max_len=1024 -timeout=20 \
        -rss_limit_mb=1024 -artifact_prefix="$artifacts/$target-" "$corpus" "$work/seeds-$target" \
        >"$log" 2>&1 || code=$?
    executions=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
    covered=$(sed -n 's/.*DONE *cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 edges, \2 features, \3 inputs kept/p' "$log")
    if [ "$code" = 0 ] && [ -n "$executions" ]; then
        echo "fuzz $target: $executions executions in $seconds s; $covered"
        continue
    fi
    failed+=("$target")
    grep -vE 'REDUCE|NEW|# Uses' "$log" | tail -60
    artifact=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    echo "fuzz $target: FAILED. Reproduce: $binaries/$target ${artifact:-(no input was kept)}"
done
[ ${#failed[@]} -eq 0 ]
