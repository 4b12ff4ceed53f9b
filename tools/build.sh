#!/bin/bash

# Builds $BUILD/ngx_stomp_module.so.
#
# nginx's tree is copied below $BUILD first: configure writes into it.  It is
# copied and configured again only when something that matters has changed.

. "$(dirname "$0")/lib.sh"

CC=${CC:-cc}

# Beyond nginx's own -W -Wall -Wpointer-arith -Werror.  Parameters of event
# handlers are often unused by design, as in nginx itself.
warnings="-Wall -Wextra -Wno-unused-parameter -Wmissing-prototypes \
-Wstrict-prototypes -Wold-style-definition -Wshadow -Wvla -Wformat=2"

cc_opt="-O2 -fstack-protector-strong $warnings ${STOMP_CFLAGS:-}"
ld_opt="${STOMP_LDFLAGS:-}"


find_source() {
    if [ -n "${NGINX_SRC:-}" ]; then
        source_dir=$(cd "$NGINX_SRC" && pwd)
        read -r -a flags \
            <<< "${NGINX_FLAGS:---with-compat --with-http_ssl_module}"
        return
    fi

    source_dir=/usr/share/nginx/src

    if [ ! -f $source_dir/conf_flags ]; then
        die "nginx-dev is not installed: run \"make deps\" or set NGINX_SRC"
    fi

    # what the installed binary was configured with
    # shellcheck source=/dev/null
    . $source_dir/conf_flags
    flags=("${NGX_CONF_FLAGS[@]}")

    if [ -n "${NGINX_FLAGS:-}" ]; then
        read -r -a extra <<< "$NGINX_FLAGS"
        flags+=("${extra[@]}")
    fi
}


nginx_version() {
    sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' \
        "$source_dir/src/core/nginx.h"
}


source_signature() {
    (cd "$source_dir" && find auto src -type f -printf '%p %s %T@\n' | sort)
    echo "$source_dir"
}


build_signature() {
    sha256sum config tools/build.sh
    ls ngx_stomp_module/*/*.[ch] 2>/dev/null || true
    printf '%s\n' "$tree" "$CC" "$($CC --version | head -1)" \
        "${flags[*]}" "$cc_opt" "$ld_opt" "${NDK_SRC:-}" \
        "${NGX_STOMP_TEST_HOOKS:-}"
}


copy_source() {
    rm -rf "$tree"
    mkdir -p "$tree"

    (cd "$source_dir" \
        && tar -cf - --exclude=./objs --exclude=./.git --exclude=./Makefile .) \
        | tar -xf - -C "$tree"

    # a checkout keeps configure in auto/
    if [ ! -f "$tree/configure" ]; then
        cp "$tree/auto/configure" "$tree/configure"
    fi

    echo "$1" > "$tree/.source"
}


configure_tree() {
    say "configuring nginx $version for $CC"

    rm -rf "$tree/objs" "$tree/.configured"

    # CFLAGS in the environment would replace nginx's own flags.
    if ! (cd "$tree" && env -u CFLAGS bash ./configure "${flags[@]}" \
              --with-cc="$CC" --with-cc-opt="$cc_opt" --with-ld-opt="$ld_opt" \
              --add-dynamic-module="$root") > "$tree/configure.log" 2>&1
    then
        tail -20 "$tree/configure.log" >&2
        die "nginx's configure failed; all of it: $tree/configure.log"
    fi

    echo "$1" > "$tree/.configured"
}


# where the unit tests find nginx's headers

write_nginx_mk() {
    local incs="src/core src/event src/event/modules src/os/unix objs \
        src/http src/http/modules src/http/v2"
    local dir

    {
        printf 'NGINX_INCS :='
        for dir in $incs; do
            printf ' %s' "$tree/$dir"
        done
        # another compiler, another header: the tests are built again
        printf '\n# %s, %s\n' "$CC" "$version"
    } > "$build/nginx.mk.new"

    replace "$build/nginx.mk.new" "$build/nginx.mk"
}


# keeps the time of a file that would not change

replace() {
    if cmp -s "$1" "$2"; then
        rm "$1"
    else
        mv "$1" "$2"
    fi
}


find_source
version=$(nginx_version)
[ -n "$version" ] || die "no nginx source in $source_dir"

tree=$build/nginx-$version
mkdir -p "$build"

# two builds at once would mix their objects
exec 9> "$build/.lock"
flock 9

signature=$(source_signature | sha256sum)
if [ "$signature" != "$(cat "$tree/.source" 2>/dev/null)" ]; then
    copy_source "$signature"
fi

signature=$(build_signature | sha256sum)
if [ "$signature" != "$(cat "$tree/.configured" 2>/dev/null)" ]; then
    configure_tree "$signature"
fi

write_nginx_mk

make -C "$tree" -f objs/Makefile --no-print-directory --silent \
    -j "$(nproc)" modules 9>&-

cp "$tree/objs/ngx_stomp_module.so" "$build/ngx_stomp_module.so.new"
replace "$build/ngx_stomp_module.so.new" "$build/ngx_stomp_module.so"

say "$build/ngx_stomp_module.so is up to date (nginx $version, $CC)"
