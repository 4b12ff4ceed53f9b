#!/bin/bash

# run.sh chat|chat-tls
#
# Builds and starts an example in $BUILD/run, with an nginx of its own.

. "$(dirname "$0")/lib.sh"

example=$1
run=$build/run


prepare_prefix() {
    mkdir -p "$run"/{conf,html,logs,modules,temp}

    ln -sfn "$(ndk_module)" "$run/modules/ndk_http_module.so"
    ln -sfn "$build/ngx_stomp_module.so" "$run/modules/ngx_stomp_module.so"

    cp "conf-examples/$example/nginx.conf" "$run/conf/nginx.conf"
    cp conf-examples/chat/*.{html,css,js} "$run/html/"
    cp "$build/npm/node_modules/@stomp/stompjs/bundles/stomp.umd.min.js" \
        "$run/html/"
}


make_certificate() {
    if [ -s "$run/conf/server.crt" ] \
        && openssl x509 -in "$run/conf/server.crt" -noout -checkend 86400 \
            >/dev/null
    then
        return
    fi

    (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 365 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
        -keyout "$run/conf/server.key" -out "$run/conf/server.crt" \
        2>/dev/null)
}


# Started by root, workers change to www-data where that user can read the
# pages, and stay root where it can't (a checkout below /root).

worker_user() {
    if [ "$(id -u)" != 0 ]; then
        return
    fi

    if command -v runuser >/dev/null && id www-data >/dev/null 2>&1 \
        && runuser -u www-data -- test -r "$run/html/index.html"
    then
        echo 'user www-data;'
    else
        echo 'user root;'
    fi
}


wait_for_page() {
    for _ in $(seq 100); do
        if curl -fso /dev/null "$1"; then
            return
        fi
        sleep 0.1
    done

    tail -5 "$run/logs/error.log" >&2
    die "nginx does not answer on $1"
}


"$root/tools/install.sh" build run
"$root/tools/build.sh"
"$root/tools/npm.sh" conf-examples/chat "$build/npm"
"$root/tools/stop.sh" --quiet

prepare_prefix

if [ "$example" = chat-tls ]; then
    make_certificate
fi

if ! "$(nginx_binary)" -p "$run/" -c conf/nginx.conf -e logs/error.log \
    -g "$(worker_user)"
then
    die "nginx did not start; its log is $run/logs/error.log"
fi

wait_for_page http://127.0.0.1:8020/

hello='{"content":"hi"}'
push=/push/topic/game_chat

say
if [ "$example" = chat-tls ]; then
    say 'open    https://localhost:8443/            (self-signed certificate)'
    say '        https://localhost:8443/admin.html'
    say
    say "push    curl -k -d '$hello' https://localhost:8443$push"
else
    say 'open    http://localhost:8020/             a chat page; open several'
    say '        http://localhost:8020/admin.html   the game master'"'s page"
    say
    say "push    curl -d '$hello' http://localhost:8020$push"
fi
say 'stop    make stop'
say "log     $run/logs/error.log"
