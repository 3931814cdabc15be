#!/usr/bin/env bash
# Fetches NVIDIA's lean runtimes of TensorRT 10 and 11 from PyPI (x86_64; they are unpacked and not installed, and
# not kept: their licence forbids to ship them) and runs the tests of `lean.rs` against them. Where they cannot be
# had it says that it is skipped, or fails if TENSORRT_LEAN_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")/../../.."

skip() {
    echo "SKIPPED tensorrt-rs with the lean runtimes: $1"
    [ -z "${TENSORRT_LEAN_REQUIRED:-}" ] || exit 1
    exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "the wheels are for x86_64"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

python3 -m venv "$directory/venv" >"$directory/log" 2>&1 || skip "python3 cannot make a virtual environment"
directories=
for version in 10.16.1.11 11.4.0.106; do
    # The newest wheels need a glibc (2.28) that every supported system has.
    "$directory/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$directory/$version" \
        "tensorrt-lean-cu12-libs==$version" >>"$directory/log" 2>&1 || { tail -3 "$directory/log"; skip "PyPI does not answer"; }
    python3 -m zipfile -e "$directory/$version"/*.whl "$directory/$version"
    found=$(dirname "$(find "$directory/$version" -name 'libnvinfer_lean.so.*' | head -1)")
    directories=${directories:+$directories:}$found
done

export CARGO_TERM_COLOR=never TENSORRT_LEAN_DIRS=$directories
cargo test -p tensorrt-rs --locked --test lean -- --nocapture --test-threads=1
