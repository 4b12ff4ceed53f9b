#!/bin/bash

# Installs Test::Nginx (libtest-nginx-perl) where the system's own suite has
# no such package: Debian 12.  The one package, all perl, is taken from a
# newer suite of the mirror that this machine uses, through package lists of
# our own; the machine's sources stay as they are.  What it depends on comes
# from the system's suite.

. "$(dirname "$0")/lib.sh"

package=libtest-nginx-perl
apt=$build/apt


have_it() {
    perl -MTest::Nginx::Socket -e 1 2>/dev/null
}


apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
        install --yes --no-install-recommends "$@" </dev/null >/dev/null
}


# The base URLs of the Debian archives in this machine's sources, in both
# formats, then those of the same hosts, then Debian's own.

mirrors() {
    local sources=(/etc/apt/sources.list /etc/apt/sources.list.d/*)
    local url

    {
        for url in $(sed -n -E \
            -e 's/^URIs:[[:space:]]*//p' \
            -e 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' \
            "${sources[@]}" 2>/dev/null)
        do
            case $url in
                */debian | */debian/)
                    echo "${url%/}"
                    ;;
                */archive/debian/[0-9]*)
                    # a snapshot: it may be older than the suite
                    echo "${url%/}"
                    ;;
            esac
        done

        for url in $(sed -n -E \
            -e 's/^URIs:[[:space:]]*//p' \
            -e 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' \
            "${sources[@]}" 2>/dev/null)
        do
            case $url in
                *debian*)
                    echo "$url" | sed -n -E 's,^(https?://[^/]+)/.*,\1/debian,p'
                    ;;
            esac
        done

        echo http://deb.debian.org/debian
    } | awk '!seen[$0]++'
}


apt_private() {
    "$1" -qq \
        -o Dir::Etc::sourcelist="$apt/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::Lists="$apt/lists" \
        -o Dir::Cache::pkgcache= \
        -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User=root \
        -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
        -o APT::Get::List-Cleanup=true \
        "${@:2}" </dev/null
}


# try URL SUITE: leaves the package in $apt

try() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    echo "deb [signed-by=$keyring] $1 $2 main" > "$apt/sources.list"
    rm -rf "$apt/lists"
    mkdir -p "$apt/lists/partial"

    apt_private apt-get update -o APT::Update::Error-Mode=any \
        >> "$apt/log" 2>&1 || return 1
    (cd "$apt" && apt_private apt-get download "$package") \
        >> "$apt/log" 2>&1 || return 1

    set -- "$apt/$package"_*.deb
    [ -s "$1" ]
}


find_package() {
    local suite url

    : > "$apt/log"

    for url in $(mirrors); do
        for suite in trixie forky sid; do
            say "looking for $package in $suite"
            if try "$url" "$suite"; then
                return 0
            fi
        done
    done

    return 1
}


if have_it; then
    exit 0
fi

if [ -n "${STOMP_NO_INSTALL:-}" ]; then
    die 'Test::Nginx::Socket is missing'
fi

candidate=$(apt-cache policy "$package" 2>/dev/null \
    | sed -n 's/^ *Candidate: //p')

if [ -n "$candidate" ] && [ "$candidate" != '(none)' ]; then
    apt_install "$package"
    exit 0
fi

mkdir -p "$apt"
set -- "$apt/$package"_*.deb

if [ ! -s "$1" ]; then
    if ! find_package; then
        tail -5 "$apt/log" >&2

        # Whether old lists are good enough is this machine's to say.
        if grep -q 'is expired' "$apt/log"; then
            say 'The lists of this mirror have expired.  If it is a snapshot' \
                'on purpose, set Acquire::Check-Valid-Until "false" in the' \
                'configuration of apt.' >&2
        fi

        die "no mirror has $package; the whole story: $apt/log"
    fi
    set -- "$apt/$package"_*.deb
fi

rm -rf "$apt/lists"

apt_install "$1"
have_it || die "$package is installed, but perl does not find it"
