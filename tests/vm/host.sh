# shellcheck shell=bash
# Sourced by scripts that need packages on the host, or a compiler for arm64. They set `script` (their name, for
# messages), `arch` (that of the programs: amd64 or arm64) and `work` (a folder for logs).

say() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }
fail() {
    echo "$script: $*" >&2
    exit 1
}

foreign=false
[ "$arch" = "$(dpkg --print-architecture)" ] || foreign=true
# Installs what is missing of the packages named. Only root can; anybody else is told what to do.
install() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        local first=
        ! $foreign || first="dpkg --add-architecture $arch && "
        fail "run it as root, or let root run: ${first}apt-get update && apt-get install ${missing[*]}"
    fi
    update
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
        { cat "$work/apt.log"; exit 1; }
}
updated=false
update() {
    $updated && return
    say "package lists"
    ! $foreign || dpkg --add-architecture "$arch"
    apt-get update -qq
    updated=true
}

# Sets `cargo`, and for arm64 exports what it needs to compile and link: a rustup toolchain has the standard library for
# arm64 after `rustup target add`; else Debian's compiler has it.
has_target() { "$1" --print target-libdir --target "$target" 2>/dev/null | xargs -r ls >/dev/null 2>&1; }
find_compiler() {
    cargo=cargo
    [ "$arch" = arm64 ] || return 0
    local target=aarch64-unknown-linux-gnu
    install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
    if ! has_target rustc && command -v rustup >/dev/null; then
        rustup -q target add "$target" || true
    fi
    if ! has_target rustc; then
        has_target /usr/bin/rustc || install rustc-web cargo-web libstd-rust-web-dev:arm64
        export RUSTC=/usr/bin/rustc
        cargo=/usr/bin/cargo
    fi
}
