#!/usr/bin/env bash
# Installs the client for C and C++ into a temporary prefix, compiles examples and tests against it with warnings as errors,
# and runs them against the writer: linked with the shared library, with the static one, under sanitizers and valgrind.
# Skips, by name, what a machine lacks; RING_C_REQUIRED=1 makes that a failure. Needs pkg-config and a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")"

missing() {
    echo "SKIPPED $1: $2"
    if [ -n "${RING_C_REQUIRED:-}" ]; then
        exit 1
    fi
}

cc=${CC:-cc} cxx=${CXX:-c++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
PROFILE=${PROFILE:-dev} ./install.sh "$prefix"
publish=$(cargo build --locked --quiet -p occdepth-ring --example publish --message-format=json |
    grep -o '"executable":"[^"]*/publish"' | tail -n 1 | cut -d '"' -f 4)

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
if command -v pkg-config >/dev/null; then
    read -ra shared <<<"$(pkg-config --cflags --libs occdepth-ring)"
    read -ra static <<<"$(pkg-config --static --libs occdepth-ring)"
    pkg-config --exact-version="$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' ../../../Cargo.toml)" occdepth-ring
else
    missing "ring c: pkg-config" "not installed"
    shared=("-I$prefix/include" "-L$prefix/lib" -loccdepth_ring)
    static=("-L$prefix/lib" -loccdepth_ring -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
fi
# The archive by its name: the linker would rather take the shared library beside it.
static=("-I$prefix/include" "${static[@]/#-loccdepth_ring/$prefix/lib/liboccdepth_ring.a}")
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -O1 -g)
c=("$cc" -std=c11 -D_GNU_SOURCE -Wstrict-prototypes "${warnings[@]}")
cpp=("$cxx" -std=c++17 "${warnings[@]}")
run=0

# A directory of its own for each run: sockets of one are none of the other's.
ok() {
    local name=$1 directory
    shift
    directory=$(mktemp -d "$work/run.XXXX")
    echo "ring c: $name"
    timeout 120 "${@//@dir@/$directory}"
    run=$((run + 1))
}

# The headers by themselves, in every language version that they are for.
for standard in c99 c11 c17; do
    echo '#include <occdepth_ring.h>' | "$cc" -std=$standard "${warnings[@]}" -Wundef -fsyntax-only "-I$prefix/include" -xc -
    run=$((run + 1))
done
have_cxx=
if command -v "$cxx" >/dev/null; then
    have_cxx=1
    for standard in c++17 c++20; do
        echo '#include <occdepth_ring.hpp>' |
            "$cxx" -std=$standard "${warnings[@]}" -fsyntax-only "-I$prefix/include" -xc++ -
        run=$((run + 1))
    done
else
    missing "ring c++" "no $cxx"
fi
"${c[@]}" tests/layout.c -o "$work/layout" "${shared[@]}"

# Every function of the header is a versioned symbol, and nothing else is one.
grep -o 'occdepth_[a-z_0-9]*(' include/occdepth_ring.h | grep -v '_name()$' | tr -d '(' | sort -u >"$work/declared"
nm -D --defined-only "$prefix/lib/liboccdepth_ring.so.1" | awk '$2 != "A" { print $3 }' >"$work/exported"
diff <(sed 's/$/@@OCCDEPTH_RING_1.0/' "$work/declared") <(sort -u "$work/exported")
run=$((run + 1))

export LD_LIBRARY_PATH=$prefix/lib
"${c[@]}" tests/api.c -o "$work/api" "${shared[@]}" -lm
ok "api, shared library" "$work/api" "$publish" @dir@
"${c[@]}" tests/api.c -o "$work/api-static" "${static[@]}" -lm
LD_LIBRARY_PATH='' ok "api, static library" "$work/api-static" "$publish" @dir@
"${c[@]}" examples/watch.c -o "$work/watch" "${shared[@]}"
if [ -n "$have_cxx" ]; then
    "${cpp[@]}" tests/api.cpp -o "$work/api++" "${shared[@]}"
    ok "api of C++" "$work/api++" "$publish" @dir@
    "${cpp[@]}" examples/watch.cpp -o "$work/watch++" "${shared[@]}"
fi
if "${c[@]}" -fsanitize=address,undefined -xc - -o "$work/sane" <<<'int main(void) { return 0; }' 2>/dev/null && "$work/sane"; then
    sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)
    "${c[@]}" "${sanitize[@]}" tests/api.c -o "$work/api-sane" "${static[@]}" -lm
    ok "api, address and undefined-behaviour sanitizers" "$work/api-sane" "$publish" @dir@
else
    missing "ring c: sanitizers" "$cc has none"
fi
if command -v valgrind >/dev/null; then
    ok "api, valgrind" valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect,possible \
        --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=9 --child-silent-after-fork=yes \
        "$work/api" "$publish" @dir@
else
    missing "ring c: valgrind" "not installed"
fi

# The examples, beside each other at one stream.
directory=$(mktemp -d "$work/run.XXXX")
"$publish" "$directory/front.sock" --grids 0 --every-us 5000 >"$work/publish.log" &
publisher=$!
trap 'kill $publisher 2>/dev/null || true; rm -rf "$work"' EXIT
while ! grep -q ready "$work/publish.log"; do sleep 0.05; done
ok "example in C" "$work/watch" "$directory/front.sock" 5 | tee "$work/watch.out"
grep -q '^front grid .* degraded: ' "$work/watch.out"
if [ -n "$have_cxx" ]; then
    ok "example in C++" "$work/watch++" "$directory/front.sock" 5 | tee "$work/watch.out"
    grep -q '^front grid .* degraded: .*late' "$work/watch.out"
    run=$((run + 1))
fi
run=$((run + 1))
echo "ring c: $run passed"
