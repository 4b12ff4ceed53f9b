#!/bin/bash

# Builds $FUZZ_OUT/libnginx.a ($BUILD/fuzz), all of nginx and the module, for
# the fuzzers: with clang's sanitizers and what libFuzzer needs, and with
# nginx's pools replaced by malloc, so that a use after free shows.  nginx's
# source is that of this system's suite, or NGINX_SRC.

. "$(dirname "$0")/lib.sh"

clang=${FUZZ_CC:-clang}
out=${FUZZ_OUT:-$build/fuzz}
tree=$out/nginx

cc_opt="-O1 -g -fno-omit-frame-pointer -Wno-unused-command-line-argument \
-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
-fsanitize-ignorelist=$root/fuzz/ignore.list \
-fsanitize-coverage-ignorelist=$root/fuzz/coverage.list -DNGX_DEBUG_PALLOC=1 \
${FUZZ_CFLAGS:-}"

# The module needs none of them.
flags=(--without-pcre --without-http_rewrite_module --without-http_gzip_module
    --without-http_charset_module --without-http_ssi_module
    --without-http_userid_module --without-http_access_module
    --without-http_auth_basic_module --without-http_mirror_module
    --without-http_autoindex_module --without-http_geo_module
    --without-http_map_module --without-http_split_clients_module
    --without-http_referer_module --without-http_proxy_module
    --without-http_fastcgi_module --without-http_uwsgi_module
    --without-http_scgi_module --without-http_grpc_module
    --without-http_memcached_module --without-http_limit_conn_module
    --without-http_limit_req_module --without-http_empty_gif_module
    --without-http_browser_module --without-http_upstream_hash_module
    --without-http_upstream_ip_hash_module
    --without-http_upstream_least_conn_module
    --without-http_upstream_random_module
    --without-http_upstream_keepalive_module
    --without-http_upstream_zone_module)


find_source() {
    source_dir=${NGINX_SRC:-}

    # nginx-dev has the headers only
    if [ -f "$source_dir/src/core/ngx_string.c" ]; then
        return
    fi

    tools/nginx.sh installed source
    source_dir=$build/source/$(. /etc/os-release && echo "$VERSION_CODENAME")
    source_dir+=/nginx
}


signature() {
    sha256sum config tools/fuzz-build.sh fuzz/*.list
    ls ngx_stomp_module/*/*.[ch]
    printf '%s\n' "$tree" "$source_dir" "$($clang --version | head -1)" \
        "${NDK_SRC:-}" "${FUZZ_CFLAGS:-}"
    (cd "$source_dir" && find auto src -type f -printf '%p %s %T@\n' | sort)
}


configure_tree() {
    say "configuring nginx for the fuzzers ($clang)"

    rm -rf "$tree"
    mkdir -p "$tree"
    tar -C "$source_dir" -cf - --exclude=./objs --exclude=./.git . \
        | tar -xf - -C "$tree"

    if [ ! -f "$tree/configure" ]; then
        cp "$tree/auto/configure" "$tree/configure"
    fi

    if ! (cd "$tree" && env -u CFLAGS bash ./configure "${flags[@]}" \
              --with-cc="$clang" --with-cc-opt="$cc_opt" \
              --with-ld-opt="-fsanitize=address,undefined ${FUZZ_CFLAGS:-}" \
              --add-module="$root") > "$out/configure.log" 2>&1
    then
        tail -20 "$out/configure.log" >&2
        die "nginx's configure failed; all of it: $out/configure.log"
    fi

    echo "$1" > "$tree/.configured"
}


# what nginx's own Makefile links

objects() {
    sed -n '/^objs\/nginx:/,/[^\\]$/p' "$tree/objs/Makefile" \
        | grep -o 'objs/[^[:space:]]*\.o'
}


write_fuzz_mk() {
    local dir incs=

    for dir in src/core src/event src/event/modules src/os/unix src/http \
        src/http/modules objs
    do
        incs+=" -isystem $tree/$dir"
    done

    printf 'FUZZ_INCS :=%s\n' "$incs" > "$out/nginx.mk.new"

    if cmp -s "$out/nginx.mk.new" "$out/nginx.mk"; then
        rm "$out/nginx.mk.new"
    else
        mv "$out/nginx.mk.new" "$out/nginx.mk"
    fi
}


make_archive() {
    local list newer

    readarray -t list < <(objects)

    nice make -C "$tree" -f objs/Makefile --no-print-directory --silent \
        -j "$(nproc)" "${list[@]}" 9>&-

    if [ -e "$out/libnginx.a" ]; then
        newer=$(cd "$tree" && find "${list[@]}" -newer "$out/libnginx.a")
        [ -n "$newer" ] || return 0
    fi

    # libFuzzer has a main() of its own
    objcopy --redefine-sym main=ngx_main "$tree/objs/src/core/nginx.o"

    rm -f "$out/libnginx.a"
    (cd "$tree" && ar -rcs "$out/libnginx.a" "${list[@]}")
}


find_source
mkdir -p "$out"

exec 9> "$out/.lock"
flock 9

signature=$(signature | sha256sum)
if [ "$signature" != "$(cat "$tree/.configured" 2>/dev/null)" ]; then
    configure_tree "$signature"
fi

write_fuzz_mk
make_archive
