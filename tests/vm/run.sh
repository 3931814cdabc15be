#!/usr/bin/env bash
# Runs the camera tests against the kernel's own virtual camera (vivid) in a virtual machine.
#
#   tests/vm/run.sh [amd64|arm64]
#
# On amd64 the program goes along if it has been built (target/release/occdepth), and runs with these cameras from
# `camera list` to a grid that a client has read.
#
# Needs Debian's packages, which it installs when they are missing (as root): QEMU, cpio, kmod, xz; a kernel with vivid and
# a static busybox are downloaded and unpacked, not installed. For arm64 also a cross linker and Rust's standard
# library for it. Everything made lies in target/vm. Emulated (TCG) on purpose: no /dev/kvm is needed, and nested
# virtualisation is not to be relied upon.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/vm

arch=${1:-amd64}
case $arch in
    amd64) target=x86_64-unknown-linux-gnu qemu=(qemu-system-x86_64 -M pc) package=qemu-system-x86 console=ttyS0 ;;
    arm64) target=aarch64-unknown-linux-gnu qemu=(qemu-system-aarch64 -M virt -cpu cortex-a72) package=qemu-system-arm console=ttyAMA0 ;;
    *) echo "usage: tests/vm/run.sh [amd64|arm64], found: $arch" >&2; exit 2 ;;
esac
work=$PWD/target/vm/$arch
mkdir -p "$work"

say() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }

# --- what the host needs -----------------------------------------------------------------------------------------
packages=("$package" cpio kmod xz-utils python3-minimal)
[ "$arch" = amd64 ] || packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ] || [ ! -e "$work/kernel/complete" ]; then
    say "package lists"
    [ "$arch" = "$(dpkg --print-architecture)" ] || dpkg --add-architecture "$arch"
    apt-get update -qq
fi
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
        { cat "$work/apt.log"; exit 1; }
fi

# --- the kernel: Debian's, because its "cloud" flavour has no vivid ----------------------------------------------------
if [ ! -e "$work/kernel/complete" ]; then
    rm -rf "$work/kernel"
    mkdir -p "$work/kernel"
    version_package=$(apt-cache depends "linux-image-$arch:$arch" | sed -n 's/.*Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -1)
    say "downloading $version_package"
    chmod 777 "$work/kernel" # apt drops its privileges to download
    (cd "$work/kernel" && apt-get download -q "$version_package:$arch" "busybox-static:$arch" >/dev/null)
    for deb in "$work"/kernel/*.deb; do
        dpkg --fsys-tarfile "$deb" | tar -x -C "$work/kernel" --wildcards --ignore-failed-read \
            './boot/vmlinuz*' './bin/busybox' './usr/bin/busybox' './lib/modules/*/modules.*' \
            './lib/modules/*/kernel/drivers/media/*' './usr/lib/modules/*/modules.*' './usr/lib/modules/*/kernel/drivers/media/*' \
            2>/dev/null || true
    done
    [ -d "$work/kernel/lib/modules" ] || ln -s usr/lib "$work/kernel/lib"
    [ -e "$work/kernel/bin/busybox" ] || ln -s usr/bin "$work/kernel/bin"
    rm "$work"/kernel/*.deb
    version=$(basename "$work"/kernel/lib/modules/*)
    depmod -b "$work/kernel" "$version" 2>/dev/null
    # Unpacked here, the kernel need not unpack itself under emulation, which takes eight seconds.
    python3 - "$work/kernel/boot/vmlinuz-$version" "$work/kernel/vmlinux" <<'PYTHON'
import lzma
import sys

image = open(sys.argv[1], "rb").read()
start = image.find(b"\xfd7zXZ\0")
if start >= 0:
    image = lzma.LZMADecompressor().decompress(image[start:])
open(sys.argv[2], "wb").write(image)
PYTHON
    touch "$work/kernel/complete"
fi
version=$(basename "$work"/kernel/lib/modules/*)

# --- the tests, statically linked: the guest has no libraries --------------------------------------------------------
say "building the tests for $target"
cargo=cargo
if [ "$arch" != amd64 ]; then
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    # Debian's compiler has the standard library for arm64; a rustup toolchain has it after `rustup target add`.
    if ! rustc --print target-libdir --target "$target" 2>/dev/null | xargs ls >/dev/null 2>&1; then
        apt-get install -y -qq --no-install-recommends rustc-web cargo-web libstd-rust-web-dev:arm64 >"$work/apt.log" 2>&1 ||
            { cat "$work/apt.log"; exit 1; }
        export RUSTC=/usr/bin/rustc
        cargo=/usr/bin/cargo
    fi
fi
RUSTFLAGS='-C target-feature=+crt-static' "$cargo" test --locked -p occdepth-capture --test vivid --no-run \
    --target "$target" --target-dir "$work/build" 2>&1 | tee "$work/build.log" | grep -E '^(error|warning)' -A8 || true
tests=$(sed -n 's/.*Executable .*(\(.*\))$/\1/p' "$work/build.log" | tail -1)
case $tests in /*) ;; ?*) tests=$PWD/$tests ;; *) cat "$work/build.log"; echo "no test program was built" >&2; exit 1 ;; esac

# --- the guest -------------------------------------------------------------------------------------------------------
root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,modules}
cp "$work/kernel/bin/busybox" "$root/bin/"
cp "$tests" "$root/bin/vivid-tests"
strip "$root/bin/vivid-tests" 2>/dev/null || true
cp "$here/init" "$root/init"
chmod +x "$root/init"
program=target/release/occdepth
if [ "$arch" = amd64 ] && [ -x "$program" ]; then
    cp "$program" "$root/bin/"
    cp "$here/program.sh" "$root/bin/"
    # This one is dynamic: its libraries go along, at their own places.
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
else
    echo "SKIPPED vm/program: needs target/release/occdepth for the guest"
fi
printf 'root:x:0:\nvideo:x:44:\n' > "$root/etc/group"
printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' > "$root/etc/passwd"
modprobe -d "$work/kernel" -S "$version" -n --show-depends vivid | awk '$1 == "insmod" { print $2 }' |
    while read -r module; do
        cp "$module" "$root/modules/"
        basename "$module"
    done > "$root/modules/order"
(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) > "$work/initrd.gz"

say "booting Linux $version"
timeout 150 "${qemu[@]}" -accel tcg,thread=multi -smp 2 -m 512 -nodefaults -nographic -no-reboot -monitor none \
    -serial "file:$work/serial.log" -kernel "$work/kernel/vmlinux" -initrd "$work/initrd.gz" \
    -append "console=$console panic=-1 quiet nokaslr mitigations=off" </dev/null || true
tr -d '\r' < "$work/serial.log" | grep -vE '^\[ *[0-9.]+\] ' || true
say "done"
# Verdicts come last, so a test program that died has none.
if [ -e "$root/bin/program.sh" ]; then
    tr -d '\r' < "$work/serial.log" | grep -qx 'program: 0 failed'
fi
tr -d '\r' < "$work/serial.log" | grep -qE '^vivid: [0-9]+ passed, 0 failed$'
