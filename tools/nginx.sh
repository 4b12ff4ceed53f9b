#!/bin/bash

# nginx.sh SUITE|installed|newest [plain|sanitize|valgrind|source]
#
# Builds nginx, ngx_devel_kit and this module from the source packages of a
# Debian suite, into build/SUITE-KIND/:
#
#   nginx  ndk_http_module.so  ngx_stomp_module.so
#
# "installed" is the suite of this system, "newest" the newest one whose
# source can be had.  BUILD=build/SUITE-KIND NGINX_BIN=build/SUITE-KIND/nginx
# makes the other tools use them.  The sources stay in build/source/SUITE/.
#
#   plain     as Debian's, with nginx's debug log
#   sanitize  with the sanitizers for addresses, leaks and undefined
#             behaviour; the first report ends the process
#   valgrind  for valgrind
#
# These two are built with nginx's own NGX_DEBUG_PALLOC: its pools take
# each piece of memory from malloc(), and the module keeps no free segments,
# so that a use after free shows, and one beyond the end.
#
#   source    nothing is built, only the sources are fetched

# $flags is several words, in several lines
# shellcheck disable=SC2086,SC2116

. "$(dirname "$0")/lib.sh"
. "$root/tools/lib-apt.sh"

suite=${1:-installed}
kind=${2:-plain}
CC=${CC:-cc}

flags="--with-compat --with-debug --with-pcre-jit --with-threads
    --with-http_ssl_module --with-http_v2_module --with-http_realip_module
    --with-http_auth_request_module --with-http_stub_status_module"

# What nginx's own code does on purpose: memcpy(p, NULL, 0), and words that
# are read from where they stand.  The module is checked for these, too.
of_nginx="-fno-sanitize=nonnull-attribute,alignment"


flags_of_kind() {
    case $kind in

    plain)
        nginx_opt=-O1
        module_opt=
        module_ld=
        nginx_ld=
        ;;

    sanitize)
        module_opt="-O1 -g -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1 \
-fsanitize=address,undefined -fno-sanitize-recover=all"
        module_ld="-fsanitize=address,undefined"
        nginx_opt="$module_opt $of_nginx -Wno-maybe-uninitialized"
        nginx_ld="$module_ld $out/options.o"

        # A worker unloads its modules before it ends.  What their variables
        # point to would be leaks then, and the stacks without names.
        module_ld+=" -Wl,-z,nodelete"
        ;;

    valgrind)
        module_opt="-O1 -g -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1"
        module_ld=
        nginx_ld=
        nginx_opt=$module_opt
        ;;

    source)
        ;;

    *)
        die "unknown kind \"$kind\""
        ;;
    esac
}


# The suites to try, and the name of the folder.

resolve_suite() {
    name=$suite

    case $suite in

    installed)
        suites=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
        [ -n "$suites" ] || die 'this system has no code name'
        name=$suites
        ;;

    newest)
        suites='sid testing'
        ;;

    *)
        suites=$suite
        ;;
    esac

    apt=$build/source/$name
    out=$build/$name-$kind
}


# Leaves the files of a source package in $apt, or at least its original
# tarball: mirrors lack a Debian part now and then.

download() {
    (cd "$apt" && apt_private apt-get source --download-only \
        --only-source "$1") >> "$apt/log" 2>&1 || true

    compgen -G "$apt/$1_*.orig.tar.*" > /dev/null
}


download_from() {
    local url

    for url in $(mirrors); do
        say "looking for the source of nginx in $1"
        rm -f "$apt"/*.dsc "$apt"/*.tar.* "$apt"/*.diff.*

        if private_lists deb-src "$url" "$1" \
            && download nginx && download libnginx-mod-http-ndk
        then
            return 0
        fi
    done

    return 1
}


# unpack PACKAGE FOLDER

unpack() {
    local tarball

    rm -rf "${apt:?}/$2"

    if dpkg-source --no-check -x "$apt/$1"_*.dsc "$apt/$2" \
        >> "$apt/log" 2>&1
    then
        echo "$(basename "$apt/$1"_*.dsc .dsc), with Debian's patches"
        return
    fi

    tarball=$(compgen -G "$apt/$1_*.orig.tar.?z*" | grep -v '\.asc$')
    rm -rf "${apt:?}/$2"
    mkdir "$apt/$2"
    tar -xf "$tarball" -C "$apt/$2" --strip-components=1
    echo "$(basename "$tarball"), without Debian's patches"
}


get_source() {
    local one

    if [ -s "$apt/origin" ]; then
        return
    fi

    if [ -n "${STOMP_NO_INSTALL:-}" ]; then
        die "there is no source in $apt"
    fi

    mkdir -p "$apt"
    : > "$apt/log"

    for one in $suites; do
        if download_from "$one"; then
            {
                unpack nginx nginx
                unpack libnginx-mod-http-ndk ndk
            } > "$apt/origin.new"
            rm -rf "$apt/lists"
            mv "$apt/origin.new" "$apt/origin"
            return
        fi
    done

    die_of_mirrors "the source of nginx for $suite"
}


# A start that fails, and a test of a configuration, end when the variables of
# main() are out of scope, and with them the only way to the cycle's pool: the
# leak sanitizer would report all of it.

keep_cycle() {
    sed -i 's/^    ngx_cycle_t  *\*cycle, init_cycle;$/    static&/' "$1"
}


build_nginx() {
    local tree=$out/tree
    local signature

    signature=$(cat "$apt/origin"; echo "$flags|$nginx_opt|$nginx_ld"
        declare -f keep_cycle build_nginx; cat t/builds/sanitizer_options.c
        $CC --version | head -1)

    if [ "$signature" = "$(cat "$out/.signature" 2>/dev/null)" ]; then
        return
    fi

    say "building nginx for $name, $kind"

    if [ $kind = sanitize ]; then
        $CC -O1 -Wall -Werror -c t/builds/sanitizer_options.c \
            -o "$out/options.o"
    fi

    rm -rf "$tree" "$out/.signature"
    mkdir -p "$tree"
    (cd "$apt/nginx" && tar -cf - --exclude=./debian --exclude=./.pc .) \
        | tar -xf - -C "$tree"

    if [ $kind = sanitize ]; then
        keep_cycle "$tree/src/core/nginx.c"
    fi

    # configure runs small programs that leak
    if ! (cd "$tree" \
        && export ASAN_OPTIONS=detect_leaks=0 \
        && env -u CFLAGS bash ./configure $flags --with-cc="$CC" \
            --with-cc-opt="$nginx_opt -DNDK_SET_VAR=1" \
            --with-ld-opt="$nginx_ld" --add-dynamic-module="$apt/ndk" \
        && make -f objs/Makefile --silent -j "$(nproc)" binary modules
        ) > "$out/log" 2>&1
    then
        tail -20 "$out/log" >&2
        die "nginx does not build; all of it: $out/log"
    fi

    # not onto the file of a process that runs
    install "$tree/objs/nginx" "$tree/objs/ndk_http_module.so" "$out/"
    echo "$signature" > "$out/.signature"
}


build_module() {
    NGINX_SRC=$apt/nginx NDK_SRC=$apt/ndk NGINX_FLAGS=$(echo $flags) \
    BUILD=$out CC=$CC ASAN_OPTIONS=detect_leaks=0 \
    STOMP_CFLAGS="$module_opt ${STOMP_CFLAGS:-}" \
    STOMP_LDFLAGS="$module_ld ${STOMP_LDFLAGS:-}" \
        "$root/tools/build.sh"
}


resolve_suite
flags_of_kind

"$root/tools/install.sh" source
mkdir -p "$build/source" "$out"

# two at once would write the same files
exec 8> "$build/source/.lock"
flock 8

get_source

if [ "$kind" = source ]; then
    exit 0
fi

build_nginx 8>&-
build_module 8>&-

say "$out/nginx is $(head -1 "$apt/origin")"
