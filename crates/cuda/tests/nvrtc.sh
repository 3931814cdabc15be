#!/usr/bin/env bash
# Compiles every kernel with NVIDIA's run-time compilers of CUDA 11, 12 and 13, fetched as Python wheels (x86_64).
# Needs pip and unzip. With an argument, keeps the compilers there from one run to the next.
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
fetch() {
    local name=$1 wheel=$2
    if [ ! -e "$directory/$name" ]; then
        python3 -m pip download --quiet --no-deps --only-binary=:all: \
            --platform manylinux2014_x86_64 --dest "$directory/wheels-$name" "$wheel"
        mkdir -p "$directory/$name.part"
        unzip -q -o -j "$directory/wheels-$name"/*.whl '*/lib/libnvrtc*' -d "$directory/$name.part"
        rm -r "$directory/wheels-$name"
        mv "$directory/$name.part" "$directory/$name"
    fi
}
fetch cuda11 nvidia-cuda-nvrtc-cu11==11.8.89
fetch cuda12 nvidia-cuda-nvrtc-cu12==12.9.86
fetch cuda13 nvidia-cuda-nvrtc==13.5.37

# The compiler finds its second library by the loader's path.
export NVRTC_DIR="$directory/cuda11:$directory/cuda12:$directory/cuda13"
export LD_LIBRARY_PATH="$NVRTC_DIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
cargo test -p occdepth-cuda --locked --test nvrtc -- --nocapture --test-threads=1
