#!/usr/bin/env bash
# Fetches NVIDIA's TensorRT for RTX from PyPI (x86_64; it is part of a wheel that is unpacked and not installed, and not
# kept: its licence forbids to ship it) and runs the tests of `rtx.rs` against it: its builder needs no GPU. Where it
# cannot be had it says that it is skipped, or fails if TENSORRT_RTX_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")/../../.."

skip() {
    echo "SKIPPED tensorrt-rs with TensorRT for RTX: $1"
    [ -z "${TENSORRT_RTX_REQUIRED:-}" ] || exit 1
    exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "the wheel is for x86_64"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

python3 -m venv "$directory/venv" >"$directory/log" 2>&1 || skip "python3 cannot make a virtual environment"
# 0.5.0 has TensorRT for RTX 1.7.1.
"$directory/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$directory" \
    "onnxruntime-ep-nv-tensorrt-rtx-cu12==0.5.0" >>"$directory/log" 2>&1 || { tail -3 "$directory/log"; skip "PyPI does not answer"; }
python3 -m zipfile -e "$directory"/*.whl "$directory/wheel"
for library in libtensorrt_rtx libtensorrt_onnxparser_rtx; do
    mv "$directory/wheel/onnxruntime_ep_nv_tensorrt_rtx/$library".so.1.* "$directory/$library.so.1"
done

export CARGO_TERM_COLOR=never TENSORRT_RTX_DIR=$directory
cargo test -p tensorrt-rs --locked --test rtx -- --nocapture --test-threads=1
