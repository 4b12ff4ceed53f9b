#!/bin/bash

# test.sh              runs all tests with one prove
# test.sh unit         the unit tests only
# test.sh lint         the checks of the code itself only
# test.sh t/a.t ...    these

. "$(dirname "$0")/lib.sh"

shopt -s nullglob

units=("$build"/unit/*_test)

case ${1:-} in
    '')
        tests=(t/*.t t/lint/*.t t/builds/*.t "${units[@]}")
        ;;
    unit)
        tests=("${units[@]}")
        ;;
    lint)
        tests=(t/lint/*.t)
        ;;
    *)
        tests=("$@")
        ;;
esac

if [ ${#tests[@]} = 0 ]; then
    die 'no tests'
fi

# The unit tests and checks need neither nginx nor what npm installs.
if [ "${1:-}" != unit ] && [ "${1:-}" != lint ]; then
    "$root/tools/npm.sh" t "$build/npm-test"

    TEST_NGINX_BINARY=$(nginx_binary)
    NDK_MODULE=$(ndk_module)
    export TEST_NGINX_BINARY NDK_MODULE

    # What calls it "nginx" gets the same one; /usr/sbin is not in every PATH.
    mkdir -p "$build/t/bin"
    ln -sfn "$TEST_NGINX_BINARY" "$build/t/bin/nginx"
    export PATH=$build/t/bin:$PATH
fi

export STOMP_BUILD=$build
export STOMP_MODULE=${STOMP_MODULE:-$build/ngx_stomp_module.so}
export NODE_PATH=$build/npm-test/node_modules
export PERL5LIB=$root/t/lib${PERL5LIB:+:$PERL5LIB}

# Test::Nginx
export TEST_NGINX_LOAD_MODULES="${NDK_MODULE:-} $STOMP_MODULE"
export TEST_NGINX_SERVROOT=$build/t/servroot

export CMOCKA_MESSAGE_OUTPUT=TAP

mkdir -p "$build/t"

# One after another: tests that count wake-ups, or kill workers and wait for
# others, need the machine for themselves.
# shellcheck disable=SC2086  # several options
exec prove ${PROVE_FLAGS:-} "${tests[@]}" </dev/null
