# shellcheck shell=bash
# shellcheck disable=SC2154  # "apt" is who sources this

# Sourced after lib.sh by scripts that fetch a package of another suite: they
# ask the mirrors of this machine through package lists of their own, in
# $apt, and leave the machine's sources as they are.  $apt/log has the story.


apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
        install --yes --no-install-recommends "$@" </dev/null >/dev/null
}


# The URLs in this machine's sources, in both formats.

source_urls() {
    sed -n -E \
        -e 's/^URIs:[[:space:]]*//p' \
        -e 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true
}


# The Debian archives among them, then those of the same hosts, then
# Debian's own.

mirrors() {
    local url

    {
        for url in $(source_urls); do
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

        for url in $(source_urls); do
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
        -o Acquire::Retries=2 \
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
        -o APT::Get::List-Cleanup=true \
        "${@:2}" </dev/null
}


# private_lists deb|deb-src URL SUITE

private_lists() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    echo "$1 [signed-by=$keyring] $2 $3 main" > "$apt/sources.list"
    rm -rf "$apt/lists"
    mkdir -p "$apt/lists/partial"

    apt_private apt-get update -o APT::Update::Error-Mode=any \
        >> "$apt/log" 2>&1
}


# No mirror had it: the end of the story, and what is known to help.

die_of_mirrors() {
    tail -5 "$apt/log" >&2

    # Whether old lists are good enough is this machine's to say.
    if grep -q 'is expired' "$apt/log"; then
        say 'The lists of this mirror have expired.  If it is a snapshot' \
            'on purpose, set Acquire::Check-Valid-Until "false" in the' \
            'configuration of apt.' >&2
    fi

    die "no mirror has $1; the whole story: $apt/log"
}
