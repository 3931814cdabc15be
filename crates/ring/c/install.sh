#!/usr/bin/env bash
# Builds the client for C and C++ and installs it: liboccdepth_ring.so.1 (with versioned symbols), liboccdepth_ring.a,
# the headers and occdepth-ring.pc.
#
#     crates/ring/c/install.sh [PREFIX]
#
# PREFIX is /usr/local where it is not given; DESTDIR is understood. CC names another C compiler, PROFILE=dev builds without
# optimisation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=${1:-/usr/local}
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
root=${DESTDIR:-}$prefix
cc=${CC:-cc}

cd "$here"
built=$(cargo build --locked --quiet --profile "${PROFILE:-release}" -p occdepth-ring-c --message-format=json |
    grep -o '"[^"]*/liboccdepth_ring_c\.a"' | tail -n 1 | tr -d '"')
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' ../../../Cargo.toml)

install -d "$root/lib/pkgconfig" "$root/include"
install -m 644 include/occdepth_ring.h include/occdepth_ring.hpp "$root/include"
install -m 644 "$built" "$root/lib/liboccdepth_ring.a"
# Linked here, because a shared library that the Rust compiler links cannot have versions of symbols.
"$cc" -shared -o "$root/lib/liboccdepth_ring.so.1" -Wl,-soname,liboccdepth_ring.so.1 \
    -Wl,--version-script,occdepth_ring.map -Wl,--gc-sections -Wl,--whole-archive "$built" -Wl,--no-whole-archive \
    -Wl,-z,defs -Wl,-z,relro,-z,now -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
ln -sf liboccdepth_ring.so.1 "$root/lib/liboccdepth_ring.so"
sed -e "s|@prefix@|$prefix|" -e "s|@version@|$version|" occdepth-ring.pc.in > "$root/lib/pkgconfig/occdepth-ring.pc"
