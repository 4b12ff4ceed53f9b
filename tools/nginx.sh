#!/bin/bash

# nginx.sh SUITE|installed|newest [plain|sanitize|valgrind|source]
#
# Builds nginx, ngx_devel_kit and this module from the source packages of a
# Debian suite, into build/SUITE-KIND/:
#
#   nginx  ndk_http_module.so  ngx_stomp_module.so
#
# "installed" is the suite of this system, "newest" the newest one whose
# source can be had, or, as mirrors lack new sources now and then, whose
# packages: nginx runs with their C library then.  All of this stays in
# build/source/SUITE/.
#
#   (. build/SUITE-KIND/env && tools/test.sh t/push.t)
#
# makes the other tools use them.
#
#   plain     as Debian's, with nginx's debug log
#   sanitize  with the sanitizers for addresses, leaks and undefined
#             behaviour; the first report ends the process
#   valgrind  for valgrind
#   source    nothing is built, only the source is fetched
#
# "sanitize" and "valgrind" are built with nginx's own NGX_DEBUG_PALLOC: its
# pools take each piece of memory from malloc(), and the module keeps no free
# segments, so that a use after free shows, and one beyond the end.

. "$(dirname "$0")/lib.sh"
. "$root/tools/lib-apt.sh"

suite=${1:-installed}
kind=${2:-plain}
CC=${CC:-cc}

flags="--with-compat --with-debug --with-pcre-jit --with-threads \
--with-http_ssl_module --with-http_v2_module --with-http_realip_module \
--with-http_auth_request_module --with-http_stub_status_module"

# What nginx's own code does on purpose: memcpy(p, NULL, 0), and words that
# are read from where they stand.  The module is checked for these, too.
of_nginx="-fno-sanitize=nonnull-attribute,alignment"

# A worker unloads its modules before it ends.  What their variables point to
# would be leaks then, and the stacks without names.
stays=-Wl,-z,nodelete


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
        nginx_opt="$module_opt $of_nginx -Wno-error"
        module_ld="-fsanitize=address,undefined $stays"

        # the sanitizer's own crypt() calls the one that is there at the start
        nginx_ld="$module_ld $out/options.o -Wl,--no-as-needed -lcrypt"
        ;;

    valgrind)
        module_opt="-O1 -g -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1"
        nginx_opt=$module_opt
        module_ld=$stays
        nginx_ld=$stays
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

    for one in $suites; do
        if download_from "$one"; then
            {
                unpack nginx nginx
                unpack libnginx-mod-http-ndk ndk
            } > "$apt/origin.new"
            return 0
        fi
    done

    return 1
}


# The same from the packages themselves.  They are resolved for a system that
# has nothing yet, so that all of what nginx needs is there.

download_packages() {
    local url nothing=$apt/nothing

    : > "$nothing"

    for url in $(mirrors); do
        say "looking for the packages of nginx in $1"
        rm -rf "$apt/debs"
        mkdir -p "$apt/debs/partial"

        if private_lists deb "$url" "$1" \
            && (cd "$apt/debs" \
                && apt_private apt-get install --yes --download-only \
                    --no-install-recommends -o Dir::State::status="$nothing" \
                    -o Dir::Cache::archives="$apt/debs" -o Debug::NoLocking=1 \
                    nginx libnginx-mod-http-ndk \
                && apt_private apt-get download \
                    -o Dir::State::status="$nothing" \
                    nginx-dev libnginx-mod-http-ndk-dev) >> "$apt/log" 2>&1
        then
            return 0
        fi
    done

    return 1
}


get_packages() {
    local file

    if [ "$suite" != newest ] || [ "$kind" != plain ]; then
        return 1
    fi

    download_packages "${suites%% *}" || return 1

    for file in "$apt"/debs/*.deb; do
        dpkg-deb -x "$file" "$apt/root"
    done

    ln -sfn root/usr/share/nginx/src "$apt/nginx"
    ln -sfn root/usr/share/nginx-ndk/src "$apt/ndk"
    file=$(basename "$apt"/debs/nginx_*.deb .deb)
    echo "$file, Debian's binary" > "$apt/origin.new"
}


get_nginx() {
    if [ -s "$apt/origin" ]; then
        return
    fi

    if [ -n "${STOMP_NO_INSTALL:-}" ]; then
        die "there is no source in $apt"
    fi

    mkdir -p "$apt"
    rm -rf "$apt/root"
    : > "$apt/log"

    get_source || get_packages || die_of_mirrors "the source of nginx"

    rm -rf "$apt/lists"
    mv "$apt/origin.new" "$apt/origin"
}


# A program of another suite needs the C library, and the loader, of that one.

adopt_nginx() {
    local library loader

    library=$(dirname "$(find "$apt/root" -name libc.so.6)")
    cp "$apt/root/usr/sbin/nginx" "$out/nginx.new"
    loader=$(basename "$(patchelf --print-interpreter "$out/nginx.new")")

    patchelf --set-interpreter "$library/$loader" \
        --force-rpath --set-rpath "$library" "$out/nginx.new"

    mv "$out/nginx.new" "$out/nginx"
    cp "$apt/root/usr/lib/nginx/modules/ndk_http_module.so" "$out/"
}


# A start that fails, and a test of a configuration, end when the variables of
# main() are out of scope, and with them the only way to the cycle's pool: the
# leak sanitizer would report all of it.

keep_cycle() {
    sed -i 's/^    ngx_cycle_t  *\*cycle, init_cycle;$/    static&/' "$1"
}


configure_nginx() {
    local tree=$1 options

    rm -rf "$tree"
    mkdir -p "$tree"
    (cd "$apt/nginx" && tar -cf - --exclude=./debian --exclude=./.pc .) \
        | tar -xf - -C "$tree"

    read -r -a options <<< "$flags"

    if [ "$kind" != plain ]; then
        keep_cycle "$tree/src/core/nginx.c"
        options+=("--add-dynamic-module=$root/t/builds/seed")
    fi

    if [ "$kind" = sanitize ]; then
        $CC -O1 -Wall -Werror -c t/builds/sanitizer_options.c \
            -o "$out/options.o"
    fi

    # configure runs small programs that leak
    (cd "$tree" && env -u CFLAGS ASAN_OPTIONS=detect_leaks=0 \
        bash ./configure "${options[@]}" --with-cc="$CC" \
            --with-cc-opt="$nginx_opt -DNDK_SET_VAR=1" \
            --with-ld-opt="$nginx_ld" --add-dynamic-module="$apt/ndk")
}


build_nginx() {
    local tree=$out/tree
    local signature

    say "building nginx for $name, $kind"

    signature=$(cat "$apt/origin" t/builds/sanitizer_options.c
        declare -f keep_cycle configure_nginx
        echo "$flags|$nginx_opt|$nginx_ld|$($CC --version | head -1)")

    if [ "$signature" != "$(cat "$out/.signature" 2>/dev/null)" ]; then
        rm -f "$out/.signature"
        configure_nginx "$tree" > "$out/log" 2>&1 || die_of_build
        echo "$signature" > "$out/.signature"
    fi

    make -C "$tree" -f objs/Makefile --silent -j "$(nproc)" binary modules \
        >> "$out/log" 2>&1 || die_of_build

    # not onto the file of a process that runs
    install "$tree"/objs/nginx "$tree"/objs/*.so "$out/"
}


die_of_build() {
    tail -20 "$out/log" >&2
    die "nginx does not build; all of it: $out/log"
}


# for those who build the module again, and who run something

write_env() {
    set_env CC "$CC"
    set_env NGINX_SRC "$apt/nginx"
    set_env NGINX_FLAGS "$flags"
    set_env NDK_SRC "$apt/ndk"
    set_env STOMP_CFLAGS "$module_opt ${STOMP_CFLAGS:-}"
    set_env STOMP_LDFLAGS "$module_ld ${STOMP_LDFLAGS:-}"

    set_env BUILD "$out"
    set_env NGINX_BIN "$out/nginx"
    set_env NDK_MODULE "$out/ndk_http_module.so"
    set_env STOMP_MODULE "$out/ngx_stomp_module.so"
}


set_env() { printf 'export %s=%q\n' "$1" "$2"; }


build_module() {
    # shellcheck source=/dev/null
    (. "$out/env" && ASAN_OPTIONS=detect_leaks=0 "$root/tools/build.sh")
}


resolve_suite
flags_of_kind

"$root/tools/install.sh" source
mkdir -p "$build/source" "$out"

# two at once would write the same files
exec 8> "$build/source/.lock-$name"
flock 8

get_nginx

if [ "$kind" = source ]; then
    exit 0
fi

if [ -d "$apt/root" ]; then
    adopt_nginx
else
    build_nginx 8>&-
fi

write_env > "$out/env"
build_module 8>&-

say "$out/nginx is $(head -1 "$apt/origin")"
