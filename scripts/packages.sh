# Sourced by ./run and ./test: installs what is missing from Debian's packages, and says so.
#
#   missing=()
#   need PACKAGE [COMMAND...]   queues PACKAGE unless it is installed or COMMAND succeeds
#   install_missing             installs the queue

missing=()

need() {
    local package=$1
    shift
    if [ $# -gt 0 ] && "$@" >/dev/null 2>&1; then return; fi
    if dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then return; fi
    missing+=("$package")
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    local line="apt-get install --no-install-recommends ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "Not a Debian system: please install the equivalents of: ${missing[*]}" >&2
        return 1
    fi
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Packages are missing and there is no sudo. As root, run: $line" >&2
            return 1
        fi
        sudo=(sudo)
    fi
    echo "Installing from Debian's packages: ${missing[*]}"
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

need_rust() {
    if ! command -v cargo >/dev/null; then
        echo "Rust is missing. Install 1.95 or newer with rustup (https://rustup.rs), then run this again." >&2
        return 1
    fi
}

# What the workspace compiles and links with: a C compiler for aws-lc and SQLite, OpenSSL's headers.
need_build_tools() {
    need_rust
    need build-essential cc --version
    need pkg-config pkg-config --version
    need libssl-dev pkg-config --exists openssl
}
