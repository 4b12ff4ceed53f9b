#!/bin/bash

# coverage.sh [t/a.t ...]
#
# Builds the module and the unit tests with gcc's counters in $BUILD/coverage,
# runs them and the tests of the module's behavior, or those that are named,
# and tells the share of the module's lines that were executed.  Fails below
# STOMP_COVERAGE percent (90), or if a test fails.
#
#   $BUILD/coverage/report.txt         by file, with the lines that are missing
#   $BUILD/coverage/html/index.html    the same with the sources
#
# A process writes its counters as it exits: a worker that is killed has none.

. "$(dirname "$0")/lib.sh"

shopt -s nullglob

least=${STOMP_COVERAGE:-90}
cover=$build/coverage
counters='--coverage -fprofile-abs-path -O0'

# Not the tests that are there to load workers, to kill them or to watch them.
tests=(t/conf*.t t/handshake*.t t/websocket.t t/stomp_*.t t/push*.t
       t/status.t t/workers.t t/overrun.t t/reload.t t/tls.t t/flush.t
       t/timeouts.t t/idle.t t/zone_full.t t/single.t
       t/slots.t t/destinations.t t/alloc_*.t)

export CC=gcc
export BUILD=$cover
export STOMP_CFLAGS=$counters
export STOMP_LDFLAGS=--coverage


"$root/tools/build.sh"
make --no-print-directory unit-binaries UNIT_SANITIZE="$counters"

if [ $# -gt 0 ]; then
    tests=("$@")
else
    tests+=("$cover"/unit/*_test)
fi

find "$cover" -name '*.gcda' -delete

failed=
"$root/tools/test.sh" "${tests[@]}" || failed=1

# A line is one line, whatever programs it was compiled into.  The hooks of
# the crash tests are no part of a release.
say 'collecting the counters'
mkdir -p "$cover/html"

gcovr --root "$root" --filter ngx_stomp_module/ \
    --exclude '.*ngx_stomp_test_hooks\.[ch]' -j 2 --delete \
    --txt "$cover/report.txt" --html-details "$cover/html/index.html" \
    --fail-under-line "$least" "$cover" || failed=1

cat "$cover/report.txt"

[ -z "$failed" ]
