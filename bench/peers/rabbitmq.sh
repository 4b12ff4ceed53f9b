#!/bin/bash

# rabbitmq.sh start DIR PORT [CPUS]   a private RabbitMQ, all of it in DIR:
#                                     STOMP at ws://127.0.0.1:PORT/ws
# rabbitmq.sh pids DIR                its processes, one a line
# rabbitmq.sh stop DIR                ends them
#
# CPUS is a list as for "taskset -c".  The system's RabbitMQ, its files and
# its epmd are not touched.

set -euo pipefail

server=/usr/lib/rabbitmq/bin/rabbitmq-server


die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }


usage() {
    die 'usage: start DIR PORT [CPUS] | pids DIR | stop DIR'
}


# All that was started has the folder in its environment, also what has left
# the process group: epmd, erl_child_setup, inet_gethost.

pids() {
    grep -lzxF -- "STOMP_BENCH_PEER=$dir" /proc/[0-9]*/environ 2>/dev/null \
        | sed 's,^/proc/\([0-9]*\)/environ$,\1,' || true
}


send() {
    local pid

    for pid in $(pids); do
        kill "-$1" "$pid" 2>/dev/null || true
    done
}


# wait_gone TENTHS

wait_gone() {
    local i

    for (( i = 0; i < $1; i++ )); do
        if [ -z "$(pids)" ]; then
            return 0
        fi

        sleep 0.1
    done

    return 1
}


stop() {
    send TERM

    # what it holds is of no use to anybody
    if ! wait_gone 100; then
        send KILL
        wait_gone 50 || die "processes of $dir do not end: $(pids | xargs)"
    fi
}


free_ports() {
    perl -MIO::Socket::INET -e '
        @s = map { IO::Socket::INET->new(Listen => 1,
                                         LocalAddr => "127.0.0.1")
                   or die "no free port: $@\n" } 1 .. shift;
        print join(" ", map { $_->sockport } @s), "\n"' "$1"
}


write_configuration() {
    echo '[rabbitmq_web_stomp].' > "$dir/enabled_plugins"
    : > "$dir/env.conf"

    # frames end with their NUL, as those of the others
    echo '[{rabbitmq_stomp, [{trailing_lf, false}]}].' \
        > "$dir/advanced.config"

    cat > "$dir/rabbitmq.conf" <<END
# nothing but STOMP over WebSocket
listeners.tcp        = none
stomp.listeners.tcp  = none

web_stomp.tcp.ip       = 127.0.0.1
web_stomp.tcp.port     = $port
web_stomp.tcp.backlog  = 4096

distribution.listener.interface       = 127.0.0.1
distribution.listener.port_range.min  = $distribution_port
distribution.listener.port_range.max  = $distribution_port

# CONNECT without a login, and with the host that a client of this machine
# names: it is the virtual host
stomp.default_user  = guest
stomp.default_pass  = guest
default_vhost       = 127.0.0.1

# as the others: text frames, no compression, no time limit for idle clients
web_stomp.ws_frame                  = text
web_stomp.ws_opts.compress          = false
web_stomp.ws_opts.idle_timeout      = 3600000
web_stomp.cowboy_opts.idle_timeout  = 3600000

# no line for each connection
log.file        = rabbitmq.log
log.file.level  = warning
END
}


launch() {
    local cores pin=()

    if [ -n "$cpus" ]; then
        pin=(taskset -c "$cpus")
    fi

    cores=$("${pin[@]}" nproc)

    # One scheduler for each core.  Those without work sleep: they would spin
    # for a while first, on cores that others could use, and be counted as
    # work.
    local erlang="+S $cores:$cores +sbwt none +sbwtdcpu none +sbwtdio none"

    local environment=(
        "STOMP_BENCH_PEER=$dir"
        "HOME=$dir"
        "ERL_EPMD_ADDRESS=127.0.0.1"
        "ERL_EPMD_PORT=$epmd_port"
        "RABBITMQ_CONF_ENV_FILE=$dir/env.conf"
        "RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf"
        "RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins"
        "RABBITMQ_MNESIA_BASE=$dir/mnesia"
        "RABBITMQ_GENERATED_CONFIG_DIR=$dir/generated"
        "RABBITMQ_LOG_BASE=$dir/log"
        "RABBITMQ_PID_FILE=$dir/rabbitmq.pid"
        "RABBITMQ_NODENAME=stomp-bench-$port@localhost"
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=$erlang"
    )

    # An epmd that Erlang starts by itself would be the same; this one is
    # there before RabbitMQ looks for it.
    (
        cd "$dir"
        env "${environment[@]}" "${pin[@]}" setsid epmd \
            < /dev/null >> "$dir/log/out" 2>&1 &
        env "${environment[@]}" "${pin[@]}" setsid "$server" \
            < /dev/null >> "$dir/log/out" 2>&1 &
    )
}


# Any HTTP answer will do: the listener is opened when all else is up.

wait_ready() {
    local end=$(( SECONDS + 58 ))

    while (( SECONDS < end )); do
        if curl -so /dev/null --noproxy '*' --max-time 1 \
            "http://127.0.0.1:$port/ws"
        then
            return 0
        fi

        sleep 0.2

        # epmd alone stays when RabbitMQ ends
        if (( $(pids | wc -l) < 2 )); then
            return 1
        fi
    done

    return 1
}


# also when it is interrupted

give_up() {
    trap - EXIT
    trap '' INT TERM HUP

    stop
    tail -5 "$dir/log/out" >&2 || true
    die "RabbitMQ did not start; its logs are in $dir/log"
}


start() {
    local distribution_port epmd_port

    [ -x "$server" ] || die "no $server; install rabbitmq-server"
    [ -z "$(pids)" ] || die "RabbitMQ is already running in $dir"

    # its answer would be taken for RabbitMQ's
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        die "port $port is in use"
    fi

    rm -rf "$dir/mnesia" "$dir/log" "$dir/generated"
    mkdir -p "$dir/mnesia" "$dir/log" "$dir/generated"

    read -r distribution_port epmd_port < <(free_ports 2)
    write_configuration

    trap give_up EXIT
    trap 'exit 130' INT TERM HUP
    launch
    wait_ready
    trap - EXIT INT TERM HUP
}


[ $# -ge 2 ] || usage

dir=$(realpath -m -- "$2")

case $1 in
    start)
        [ $# -ge 3 ] || usage
        port=$3
        cpus=${4:-}
        start
        ;;
    pids) pids ;;
    stop) stop ;;
    *) usage ;;
esac
