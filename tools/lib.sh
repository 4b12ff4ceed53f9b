# shellcheck shell=bash

# Sourced by the other scripts: paths and helpers.

set -euo pipefail

# nginx takes a variable of this name for the sockets of its predecessor, and
# then stays in the foreground.
unset NGINX

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

build=${BUILD:-build}
case $build in
    /*) ;;
    *) build=$root/$build ;;
esac


say() { printf '%s\n' "$*"; }

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }


as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $*"
    fi
}


nginx_binary() {
    local file

    for file in "${NGINX_BIN:-}" "${TEST_NGINX_BINARY:-}" \
        /usr/sbin/nginx "$(command -v nginx || true)"
    do
        if [ -n "$file" ] && [ -x "$file" ]; then
            echo "$file"
            return
        fi
    done

    die "no nginx found; set NGINX_BIN=/path/to/nginx"
}


ndk_module() {
    local file

    for file in "${NDK_MODULE:-}" "$build/ndk_http_module.so" \
        /usr/lib/nginx/modules/ndk_http_module.so \
        /usr/share/nginx/modules/ndk_http_module.so
    do
        if [ -n "$file" ] && [ -e "$file" ]; then
            echo "$file"
            return
        fi
    done

    die "no ndk_http_module.so found; set NDK_MODULE=/path/to/it"
}
