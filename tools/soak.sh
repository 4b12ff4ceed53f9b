#!/bin/bash

# Runs the tests that kill workers again and again, each time with another
# seed, until it is interrupted, or for STOMP_SOAK_SECONDS.  It ends with 1 and
# the seed to be repeated at the first failure.
#
# STOMP_SOAK="model storm" chooses some of the steps, STOMP_SOAK_SEED=N begins
# with that seed.

. "$(dirname "$0")/lib.sh"

# each step in a process group of its own, to be stopped as a whole
set -m

seconds=${STOMP_SOAK_SECONDS:-0}
step_seconds=60
[ "$seconds" -eq 0 ] || [ "$seconds" -gt 60 ] || step_seconds=$seconds
log=$build/soak.log


# A step is a function that gets a seed, and fails if its test does.  "# N
# kills ..." in its output counts, the last of such lines.  Those without a
# use for the seed follow the machine's timing.

step_model() {
    STOMP_MODEL_SEED=$1 STOMP_MODEL_KILLS=0 STOMP_MODEL_SECONDS=$step_seconds \
        "$build/unit/model_test"
}

step_storm() {
    STOMP_STORM_SEED=$1 STOMP_STORM_KILLS=1000 "$build/unit/storm_test"
}

step_stores() {
    tools/test.sh t/crash_stores.t
}

step_load() {
    STOMP_LOAD_SECONDS=$step_seconds tools/test.sh t/crash_load.t
}

step_reload() {
    STOMP_LOAD_SECONDS=$step_seconds tools/test.sh t/reload_load.t
}


kills_in() {
    local n

    n=$(sed -n -E 's/^# ([0-9]+) (kills|workers killed)\>.*/\1/p' "$log" \
        | tail -1)
    echo "${n:-0}"
}


elapsed() { echo $(( $(date +%s) - start )); }


finish() {
    say "soak: $kills kills in $(elapsed) s, $rounds rounds, no failure"
    exit 0
}


run_step() {
    local step=$1 seed=$2 n

    # what waits in the background can be interrupted
    "step_$step" "$seed" > "$log" 2>&1 &
    child=$!

    if ! wait "$child"; then
        tail -25 "$log" >&2
        say "soak: $step failed after $kills kills; all of it: $log"
        say "soak: to repeat: STOMP_SOAK=$step STOMP_SOAK_SEED=$seed make soak"
        exit 1
    fi

    child=
    n=$(kills_in)
    kills=$(( kills + n ))

    say "soak: $(elapsed) s, $step with seed $seed: $n kills, $kills in all"
}


interrupted() {
    trap '' INT TERM

    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        { wait "$child" || true; } 2>/dev/null
        kills=$(( kills + $(kills_in) ))
    fi

    finish
}


steps=${STOMP_SOAK:-model storm stores load reload}
start=$(date +%s)
seed=${STOMP_SOAK_SEED:-$start}
kills=0
rounds=0
child=

mkdir -p "$build"

for step in $steps; do
    declare -F "step_$step" >/dev/null || die "no such step: $step"
done

trap interrupted INT TERM

while :; do
    for step in $steps; do
        run_step "$step" "$seed"
        seed=$(( seed + 1 ))

        if [ "$seconds" -gt 0 ] && [ "$(elapsed)" -ge "$seconds" ]; then
            finish
        fi
    done

    rounds=$(( rounds + 1 ))
done
