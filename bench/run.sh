#!/bin/bash

# Builds the load tool and the limit, and measures; see bench/run.pl for the
# settings.  What it runs on top of them has to be there: "make bench" sees
# to that.

. "$(dirname "$0")/../tools/lib.sh"

out=$build/bench

mkdir -p "$out"

# compile PROGRAM FOLDER: again if a file there has changed

compile() {
    local target=$out/$1 from=$root/bench/$2

    if [ ! -x "$target" ] \
        || [ -n "$(find "$from" -newer "$target" -print -quit)" ]
    then
        "${CC:-cc}" -std=c99 -O2 -Wall -Wextra -o "$target.new" "$from"/*.c
        mv "$target.new" "$target"
    fi
}

compile fanout load
compile limit limit

NGINX_BIN=$(nginx_binary)
NDK_MODULE=$(ndk_module)
export BUILD=$build NGINX_BIN NDK_MODULE

exec perl "$root/bench/run.pl"
