#!/bin/bash

# Installs Test::Nginx (libtest-nginx-perl) where the system's own suite has
# no such package: Debian 12.  The one package, all perl, is taken from a
# newer suite of the mirror that this machine uses, through package lists of
# our own; the machine's sources stay as they are.  What it depends on comes
# from the system's suite.

. "$(dirname "$0")/lib.sh"
. "$root/tools/lib-apt.sh"

package=libtest-nginx-perl
apt=$build/apt


have_it() {
    perl -MTest::Nginx::Socket -e 1 2>/dev/null
}


# try URL SUITE: leaves the package in $apt

try() {
    private_lists deb "$1" "$2" || return 1
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
    find_package || die_of_mirrors "$package"
    set -- "$apt/$package"_*.deb
fi

rm -rf "$apt/lists"

apt_install "$1"
have_it || die "$package is installed, but perl does not find it"
