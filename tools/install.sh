#!/bin/bash

# install.sh build|source|unit|lint|run|test|coverage|bench ...
#
# Installs what is missing for these purposes, and nothing when all is there.
# The system's nginx and RabbitMQ are neither started nor enabled.

. "$(dirname "$0")/lib.sh"
. "$root/tools/lib-apt.sh"

policy=/usr/sbin/policy-rc.d

missing=()


installed() {
    case $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null || true) in
        *' installed') return 0 ;;
    esac

    return 1
}


# a package, or the command that makes it unnecessary

need() {
    local package=$1 command=${2:-}

    if [ -n "$command" ] && command -v "$command" >/dev/null; then
        return
    fi

    installed "$package" || missing+=("$package")
}


need_node() {
    need nodejs node
    need npm npm
    need ca-certificates
}


collect() {
    case $1 in

    build)
        need_compiler
        need libc6-dev
        need libcjson-dev

        if [ -z "${NDK_SRC:-}" ]; then
            need libnginx-mod-http-ndk-dev
        fi

        if [ -z "${NGINX_SRC:-}" ]; then
            need nginx-dev
        else
            need_nginx_libraries
        fi
        ;;

    source)
        # Debian's source packages of nginx, and what they are built with
        need dpkg-dev dpkg-source
        need xz-utils xz
        need patchelf patchelf
        need libcjson-dev
        need_compiler
        need_nginx_libraries
        ;;

    unit)
        need gcc gcc
        need libcmocka-dev
        need perl prove
        ;;

    lint)
        need gcc gcc
        need binutils nm
        need perl prove
        need clang-tidy clang-tidy
        need cppcheck cppcheck
        need shellcheck shellcheck
        need nodejs node
        ;;

    fuzz)
        need clang clang
        need_fuzzer
        need llvm llvm-symbolizer
        need binutils objcopy
        need libcmocka-dev
        need libcjson-dev
        need libnginx-mod-http-ndk-dev
        need perl prove
        ;;

    run)
        need_nginx
        need curl curl
        need openssl openssl
        need_node
        ;;

    test)
        need_nginx
        need perl prove
        need curl curl
        need binutils nm
        need openssl openssl
        need libcmocka-dev
        need libio-socket-ssl-perl
        need libwww-perl
        need chromium chromium
        need valgrind valgrind
        need python3-stomp
        need python3-websocket
        need_node
        collect source
        ;;

    coverage)
        need gcc gcc
        need gcovr gcovr
        ;;

    bench)
        need_nginx
        need libnginx-mod-nchan
        need rabbitmq-server
        need gcc gcc
        need libc6-dev
        need perl perl
        need curl curl
        need util-linux taskset
        ;;

    *)
        die "unknown purpose \"$1\""
        ;;
    esac
}


need_compiler() {
    case ${CC:-cc} in
        *clang*) need clang clang ;;
        *) need gcc "${CC:-cc}" ;;
    esac
    need make make
}


need_nginx_libraries() {
    need libpcre2-dev
    need libssl-dev
    need zlib1g-dev
}


# libFuzzer and the sanitizers, which Debian's clang only suggests

need_fuzzer() {
    local version

    version=$(apt-cache depends clang 2>/dev/null \
        | sed -n 's/^ *Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -1)

    # before the first "apt-get update" there are no lists to look into
    if [ -z "$version" ]; then
        case $(. /etc/os-release && echo "${VERSION_CODENAME:-}") in
            trixie) version=19 ;;
            *) version=14 ;;
        esac
    fi

    need "libclang-rt-$version-dev"
}


need_nginx() {
    if [ -z "${NGINX_BIN:-}${TEST_NGINX_BINARY:-}" ]; then
        need nginx
    fi

    if [ -z "${NDK_MODULE:-}" ]; then
        need libnginx-mod-http-ndk
    fi
}


# A Debian package starts its service as it is installed, unless policy-rc.d
# says no.  Ours stands only as long as apt-get runs.

forbid_services() {
    saved=

    if [ -e "$policy" ] || [ -L "$policy" ]; then
        saved=$policy.ngx_stomp_module
        as_root mv "$policy" "$saved"
    fi

    trap restore_services EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}


restore_services() {
    if [ -n "$saved" ]; then
        as_root mv "$saved" "$policy"
    else
        as_root rm -f "$policy"
    fi

    trap - EXIT INT TERM HUP
}


# Those that have come now don't start with the machine either.

disable_services() {
    local package unit

    if [ ! -d /run/systemd/system ] || ! command -v systemctl >/dev/null; then
        return
    fi

    for package in "$@"; do
        installed "$package" || continue

        case $package in
            erlang-base) unit='epmd.socket epmd.service' ;;
            *) unit=$package.service ;;
        esac

        # shellcheck disable=SC2086  # several units
        as_root systemctl disable --quiet $unit || true
    done
}


install_missing() {
    local fresh=()

    say "installing: ${missing[*]}"

    installed nginx || fresh+=(nginx)

    # the daemon of Erlang comes with it
    case " ${missing[*]} " in
        *' rabbitmq-server '*)
            fresh+=(rabbitmq-server)
            installed erlang-base || fresh+=(erlang-base)
            ;;
    esac

    if [ ${#fresh[@]} -gt 0 ]; then
        forbid_services
    fi

    # The lists of a fresh machine are empty, those of an old one outdated.
    as_root apt-get -qq update </dev/null \
        || say 'apt-get update failed; trying with the lists at hand'
    apt_install "${missing[@]}"

    if [ ${#fresh[@]} -gt 0 ]; then
        restore_services
        disable_services "${fresh[@]}"
    fi
}


if ! command -v dpkg-query >/dev/null; then
    say 'not a Debian system: nothing is installed automatically'
    exit 0
fi

for purpose in "$@"; do
    collect "$purpose"
done

if [ ${#missing[@]} -gt 0 ]; then
    if [ -n "${STOMP_NO_INSTALL:-}" ]; then
        die "these packages are missing: ${missing[*]}"
    fi

    # no package twice
    readarray -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    install_missing
fi

case " $* " in
    *' test '*) "$root/tools/test-nginx.sh" ;;
esac
