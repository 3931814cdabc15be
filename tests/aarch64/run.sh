#!/usr/bin/env bash
# Builds the runtime for aarch64 (the boards it is meant for), runs its tests emulated, and weighs the program.
#
#   tests/aarch64/run.sh [size] [tests] [cameras]
#
#   size     builds the program (release) and fails if it is above 15 MB without symbols
#   tests    builds the tests of every crate but the companion's, and runs them under QEMU's user emulation
#   cameras  boots an arm64 kernel with virtual cameras (tests/vm/run.sh arm64); the program of `size` goes along
#
# Without arguments: all of it. Tests that are left out stand in the file `left-out`, each with its reason; they are
# printed like the tests that skip themselves. Exit code 0: nothing failed.
#
# Debian's packages are installed when they are missing (as root; anybody else is told what to install): a cross linker,
# QEMU and, where no rustup toolchain can build for aarch64, Debian's own compiler. Everything made lies in the folder
# `aarch64` of cargo's target folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/aarch64
script=tests/aarch64/run.sh
arch=arm64
target=aarch64-unknown-linux-gnu
# What issue and README promise: decimal megabytes, without symbols, the bundled network included.
limit_bytes=15000000

[ $# -gt 0 ] || set -- size tests cameras
for part in "$@"; do
    case $part in
        size | tests | cameras) ;;
        *)
            echo "usage: $script [size] [tests] [cameras], found: $part" >&2
            exit 2
            ;;
    esac
done
wanted() { [[ " $parts " == *" $1 "* ]]; }
parts=$*

work=${CARGO_TARGET_DIR:-$PWD/target}/aarch64
mkdir -p "$work"
work=$(cd "$work" && pwd)
# shellcheck source=tests/vm/host.sh
. "$PWD/tests/vm/host.sh"
find_compiler
export CARGO_TERM_COLOR=never CARGO_TARGET_DIR=$work
program=$work/$target/release/occdepth
say "$("${RUSTC:-rustc}" --version), $(aarch64-linux-gnu-gcc --version | head -1)"
: > "$work/skips"
passed=0 failed=0
# count PROGRAM FILE: the sum that the awk program makes of the file.
count() { awk "$1 END { print n + 0 }" "$2"; }

build_program() {
    say "building the program for $target"
    "$cargo" build --release --locked --quiet -p occdepth --target "$target"
}

weigh() {
    build_program
    aarch64-linux-gnu-strip -o "$work/occdepth" "$program"
    local bytes
    bytes=$(stat -c %s "$work/occdepth")
    say "stripped occdepth for aarch64: $bytes bytes, at most $limit_bytes"
    [ "$bytes" -le "$limit_bytes" ] || fail "found a program of $bytes bytes, expected at most $limit_bytes"
}

# Cortex-A76 is the emulated processor nearest to those of an Orin (Cortex-A78AE): ARMv8.2 with dot products and half
# precision, and no SVE, which they have not either.
run_tests() {
    install qemu-user-static g++-aarch64-linux-gnu
    # What tests compile themselves (libraries that stand for those of CUDA and TensorRT) is for the emulated processor.
    # Build scripts run here and ask for HOST_CC first.
    export CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ HOST_CC=cc HOST_CXX=c++
    # The emulator looks here first for what a program opens. The loader must find its own C library where it looks,
    # in /lib/aarch64-linux-gnu: if Debian's libc6:arm64 lies there on the host, the two do not fit, and the first
    # thread is never made.
    local library=$work/exec.so sysroot=$work/sysroot emulator
    mkdir -p "$sysroot/lib"
    ln -sf /usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1 "$sysroot/lib/"
    ln -sfn /usr/aarch64-linux-gnu/lib "$sysroot/lib/aarch64-linux-gnu"
    emulator=$(command -v qemu-aarch64-static)
    # Properties are tried on 8 inputs instead of 256 where a test names no number; on the host, on all of them.
    export QEMU_CPU=cortex-a76 PROPTEST_CASES=8
    aarch64-linux-gnu-gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$library" \
        -D "EMULATOR=\"$emulator\"" -D "SYSROOT=\"$sysroot\"" -D "SELF=\"$library\"" "$here/exec.c" -ldl
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$emulator -L $sysroot -E LD_PRELOAD=$library"

    local skip=() left_out=0 name reason
    while read -r name reason; do
        case $name in '' | '#') continue ;; esac
        echo "SKIPPED $name: $reason" >> "$work/skips"
        skip+=(--skip "$name")
        left_out=$((left_out + 1))
    done < "$here/left-out"
    echo "SKIPPED occdepth-host: the companion runs where networks are trained, not on a board" >> "$work/skips"
    echo "SKIPPED documentation examples: the host's tests run them, and nothing in them depends on the processor" \
        >> "$work/skips"

    local tests=(test --locked --workspace --exclude occdepth-host --lib --bins --tests --target "$target"
        --config profile.dev.debug=false)
    say "building the tests for $target"
    "$cargo" "${tests[@]}" --no-run --quiet
    say "running them under $("$emulator" --version | head -1)"
    local ended=0
    "$cargo" "${tests[@]}" --no-fail-fast -- --exact "${skip[@]}" > "$work/tests.log" 2>&1 || ended=$?
    grep -E '^( +Running |test result:|test .*FAILED|error)' "$work/tests.log" || true
    say "the tests are through"
    { grep -oh 'SKIPPED .*' "$work/tests.log" || true; } >> "$work/skips"
    passed=$((passed + $(count '/^test result:/ { n += $4 }' "$work/tests.log")))
    failed=$((failed + $(count '/^test result:/ { n += $6 }' "$work/tests.log")))
    local filtered
    filtered=$(count '/^test result:/ { n += $(NF - 5) }' "$work/tests.log")
    # Otherwise a test that was renamed would stay on the list, and one of the same name would not run.
    [ "$filtered" = "$left_out" ] ||
        fail "the list left-out names $left_out tests, and $filtered were left out; expected as many (see $work/tests.log)"
    if [ "$ended" != 0 ]; then
        sed -n '/^failures:$/,/^test result:/p' "$work/tests.log"
        [ "$failed" != 0 ] || fail "cargo test ended with $ended and named no failed test: see $work/tests.log"
    fi
}

run_cameras() {
    build_program
    local ended=0
    VM_PROGRAM=$program tests/vm/run.sh arm64 > "$work/cameras.log" 2>&1 || ended=$?
    grep -vE '^ok ' "$work/cameras.log" || true
    { grep -oh 'SKIPPED .*' "$work/cameras.log" || true; } >> "$work/skips"
    sed -i '/^SKIPPED vivid:/d' "$work/skips" # the guest has run them
    passed=$((passed + $(count '/^ok / { n += 1 }' "$work/cameras.log")))
    failed=$((failed + $(count '/^FAILED / { n += 1 }' "$work/cameras.log")))
    [ "$ended" = 0 ] || [ "$(count '/^FAILED / { n += 1 }' "$work/cameras.log")" != 0 ] ||
        fail "tests/vm/run.sh ended with $ended and named no failed check"
}

! wanted size || weigh
! wanted tests || run_tests
! wanted cameras || run_cameras
sort -u "$work/skips"
printf '\naarch64: %d passed, %d failed, %d skipped, %d s\n' "$passed" "$failed" "$(sort -u "$work/skips" | wc -l)" "$SECONDS"
[ "$failed" = 0 ]
