#!/usr/bin/env bash
# Runs the camera tests against the kernel's own virtual camera (vivid) in a virtual machine.
#
#   tests/vm/run.sh [amd64|arm64]
#
# On amd64 the program goes along (built if it is not up to date), and runs with these cameras from `camera list` to a
# grid that a client has read. On arm64 it goes along if VM_PROGRAM names it (tests/aarch64/run.sh does), else that part
# is skipped; VM_PROGRAM=none skips it on amd64 too.
#
# Needs Debian's packages, which it installs when they are missing (as root; anybody else is told what to install):
# QEMU, cpio, kmod, xz; a kernel with vivid and a static busybox are downloaded and unpacked, not installed. For arm64
# also a cross linker and Rust's standard library for it. Everything made lies in the folder `vm` of cargo's target
# folder. Emulated (TCG) on purpose: no /dev/kvm is needed, and nested virtualisation is not to be relied upon.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/vm

arch=${1:-amd64}
# `limit`: seconds that the guest may take. The amd64 one keeps a run under two minutes with everything built.
case $arch in
    amd64)
        target=x86_64-unknown-linux-gnu qemu=(qemu-system-x86_64 -M pc)
        package=qemu-system-x86 console=ttyS0 limit=105
        ;;
    arm64)
        target=aarch64-unknown-linux-gnu qemu=(qemu-system-aarch64 -M virt -cpu cortex-a72)
        package=qemu-system-arm console=ttyAMA0 limit=240
        ;;
    *)
        echo "usage: tests/vm/run.sh [amd64|arm64], found: $arch" >&2
        exit 2
        ;;
esac
cargo_target=${CARGO_TARGET_DIR:-$PWD/target}
work=$cargo_target/vm/$arch
mkdir -p "$work"
work=$(cd "$work" && pwd)

# --- what the host needs -----------------------------------------------------------------------------------------
script=tests/vm/run.sh
# shellcheck source=tests/vm/host.sh
. "$here/host.sh"
install "$package" cpio kmod xz-utils
find_compiler

# --- the kernel: Debian's, because its "cloud" flavour has no vivid ----------------------------------------------------
# Unpacked here, the kernel need not unpack itself under emulation, which takes eight seconds: a bzImage holds an ELF
# file, in XZ on Debian 12. An image that holds none is booted as it is; so are those of arm64, which are plain code.
unpack_kernel() {
    local offset
    if [ "$arch" = amd64 ]; then
        while IFS=: read -r offset _; do
            tail -c "+$((offset + 1))" "$1" | xz -dc --single-stream >"$2" 2>/dev/null || true
            [ "$(head -c 4 "$2")" != $'\x7fELF' ] || return 0
        done < <(LC_ALL=C grep -obUaP '\xfd7zXZ\x00' "$1" || true)
    fi
    cp "$1" "$2"
}
if [ ! -e "$work/kernel/complete" ]; then
    rm -rf "$work/kernel"
    mkdir -p "$work/kernel"
    [ "$(id -u)" != 0 ] || update
    version_package=$(apt-cache depends "linux-image-$arch:$arch" 2>/dev/null |
        sed -n 's/.*Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -1)
    [ -n "$version_package" ] ||
        fail "found no package linux-image-$arch in apt's lists, expected Debian's; let root run apt-get update"
    say "downloading $version_package"
    [ "$(id -u)" != 0 ] || chmod 777 "$work/kernel" # apt drops its privileges to download
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
    /sbin/depmod -b "$work/kernel" "$version" 2>/dev/null
    unpack_kernel "$work/kernel/boot/vmlinuz-$version" "$work/kernel/vmlinux"
    touch "$work/kernel/complete"
fi
version=$(basename "$work"/kernel/lib/modules/*)

# --- the tests, statically linked: the guest has no libraries --------------------------------------------------------
say "building the tests for $target"
# Built for this alone: what it waits for is the guest, so the compiler need not take its time.
RUSTFLAGS='-C target-feature=+crt-static' "$cargo" test --locked -p occdepth-capture --test vivid --no-run \
    --config 'profile.dev.package."*".opt-level=0' --config profile.dev.debug=false \
    --target "$target" --target-dir "$work/build" 2>&1 | tee "$work/build.log" | grep -E '^(error|warning)' -A8 || true
tests=$(sed -n 's/.*Executable .*(\(.*\))$/\1/p' "$work/build.log" | tail -1)
case $tests in
    /*) ;;
    ?*) tests=$PWD/$tests ;;
    *)
        cat "$work/build.log"
        fail "no test program was built"
        ;;
esac
program=${VM_PROGRAM:-}
if [ "$program" = none ]; then
    program=
elif [ "$arch" = amd64 ] && [ -z "$program" ]; then
    # Never an old one: cargo knows whether there is anything to do.
    say "building the program"
    cargo build --release --locked --quiet -p occdepth
    program=$cargo_target/release/occdepth
fi

# --- the guest -------------------------------------------------------------------------------------------------------
built=$SECONDS
root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,modules}
chmod 1777 "$root/tmp"
cp "$work/kernel/bin/busybox" "$root/bin/"
cp "$tests" "$root/bin/vivid-tests"
strip "$root/bin/vivid-tests" 2>/dev/null || true
cp "$here/init" "$root/init"
chmod +x "$root/init"
if [ -n "$program" ]; then
    [ -x "$program" ] || fail "VM_PROGRAM: found $program, expected a program"
    cp "$program" "$root/bin/occdepth"
    cp "$here/program.sh" "$root/bin/"
    chmod +x "$root/bin/program.sh"
    # If it is dynamic, its libraries go along, at their own places.
    if $foreign; then
        # ldd would have to run it; the cross compiler has the libraries that it was linked with, all in one folder.
        # The loader is one of them, by its path.
        readelf -dl "$program" |
            sed -n -e 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' -e 's/.*program interpreter: .*\/\(.*\)\]$/\1/p' |
            while read -r library; do
                mkdir -p "$root/lib"
                cp -L "/usr/aarch64-linux-gnu/lib/$library" "$root/lib/"
            done
    else
        { ldd "$program" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | while read -r library; do
            mkdir -p "$root$(dirname "$library")"
            cp -L "$library" "$root$library"
        done
    fi
else
    echo "SKIPPED vm/program: needs VM_PROGRAM, the program for $arch"
fi
printf 'root:x:0:\nvideo:x:44:\n' > "$root/etc/group"
printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' > "$root/etc/passwd"
# Modules are compressed in newer releases; the guest loads plain ones.
/sbin/modprobe -d "$work/kernel" -S "$version" -n --show-depends vivid | awk '$1 == "insmod" { print $2 }' |
    while read -r module; do
        name=$(basename "$module")
        case $name in
            *.ko.xz) name=${name%.xz} && xz -dc "$module" > "$root/modules/$name" ;;
            *.ko.gz) name=${name%.gz} && gzip -dc "$module" > "$root/modules/$name" ;;
            *.ko.zst) name=${name%.zst} && zstd -dcq "$module" > "$root/modules/$name" ;;
            *.ko) cp "$module" "$root/modules/" ;;
            *) fail "found a module $name, expected .ko, .ko.xz, .ko.gz or .ko.zst" ;;
        esac
        echo "$name"
    done > "$root/modules/order"
grep -qx vivid.ko "$root/modules/order" || fail "found no module vivid in Linux $version, expected one"
(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) > "$work/initrd.gz"

say "booting Linux $version"
ended=0
timeout "$limit" "${qemu[@]}" -accel tcg,thread=multi -smp 2 -m 512 -nodefaults -nographic -no-reboot -monitor none \
    -serial "file:$work/serial.log" -kernel "$work/kernel/vmlinux" -initrd "$work/initrd.gz" \
    -append "console=$console panic=-1 quiet nokaslr mitigations=off" </dev/null || ended=$?
tr -d '\r' < "$work/serial.log" > "$work/report"
grep -vE '^\[ *[0-9.]+\] ' "$work/report" || true
say "done, $((SECONDS - built)) s after everything was built"
[ "$ended" != 124 ] || fail "the guest was stopped: it took more than $limit s"
# Verdicts come last, so a test program that died has none.
if [ -n "$program" ]; then
    grep -qx 'program: 0 failed' "$work/report"
fi
grep -qE '^vivid: [0-9]+ passed, 0 failed$' "$work/report"
