#!/usr/bin/env bash
# Compiles every kernel with NVIDIA's run-time compilers of CUDA 11, 12 and 13, fetched as Python wheels (x86_64).
# Needs Python with pip. With an argument, keeps the compilers there from one run to the next. Where they cannot be had it
# says that it is skipped, or fails if NVRTC_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")/../../.."

if [ $# -gt 0 ]; then
    directory=$1
    mkdir -p "$directory"
else
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
fi

# The licence forbids shipping them; fetching them for a check does not ship them.
skip() {
    echo "SKIPPED occdepth-cuda with NVIDIA's compilers: $1"
    [ -z "${NVRTC_REQUIRED:-}" ] || exit 1
    exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "the wheels are for x86_64"
python3 -m pip --version >/dev/null 2>&1 || skip "python3 has no pip"

fetch() {
    local name=$1 wheel=$2
    [ ! -e "$directory/$name" ] || return 0
    python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: \
        --platform manylinux2014_x86_64 --dest "$directory/wheels-$name" "$wheel" || skip "PyPI does not answer"
    python3 -m zipfile -e "$directory/wheels-$name"/*.whl "$directory/unpacked-$name"
    mkdir -p "$directory/$name.part"
    find "$directory/unpacked-$name" -name 'libnvrtc*' -exec mv -t "$directory/$name.part" {} +
    rm -r "$directory/wheels-$name" "$directory/unpacked-$name"
    mv "$directory/$name.part" "$directory/$name"
}
fetch cuda11 nvidia-cuda-nvrtc-cu11==11.8.89
fetch cuda12 nvidia-cuda-nvrtc-cu12==12.9.86
fetch cuda13 nvidia-cuda-nvrtc==13.5.37

# The compiler finds its second library by the loader's path.
export NVRTC_DIR="$directory/cuda11:$directory/cuda12:$directory/cuda13"
export LD_LIBRARY_PATH="$NVRTC_DIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
cargo test -p occdepth-cuda --locked --test nvrtc -- --nocapture --test-threads=1
