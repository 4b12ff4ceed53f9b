#!/bin/bash

# stop.sh [--quiet]: stops the nginx that run.sh has started.

. "$(dirname "$0")/lib.sh"

quiet=${1:-}
pidfile=$build/run/logs/nginx.pid


# A stale file may name any process by now: it must be a master of ours.

running() {
    [ -s "$pidfile" ] || return 1
    pid=$(cat "$pidfile")
    [ -r "/proc/$pid/cmdline" ] \
        && tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF -- "$build/run/"
}


wait_gone() {
    for _ in $(seq 50); do
        if ! kill -0 "$pid" 2>/dev/null; then
            return 0
        fi
        sleep 0.1
    done

    return 1
}


if ! running; then
    [ -n "$quiet" ] || say 'not running'
    exit 0
fi

kill -TERM "$pid"
wait_gone || kill -KILL "$pid"

[ -n "$quiet" ] || say 'stopped'
