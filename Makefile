# make            build/ngx_stomp_module.so for the installed nginx
# make help       everything else

SHELL := /bin/bash

BUILD ?= build

# Where the unit tests find nginx's headers; tools/build.sh writes it.
-include $(BUILD)/nginx.mk

# The tools read these from the environment.
export BUILD CC NGINX_SRC NGINX_FLAGS NDK_SRC NGX_STOMP_TEST_HOOKS
export STOMP_CFLAGS STOMP_LDFLAGS NGINX_BIN NDK_MODULE

.DEFAULT_GOAL := module

.PHONY: module deps run run-tls stop unit lint test soak coverage \
    sanitize versions valgrind fuzz fuzz-merge fuzz-coverage bench clean help

# Always asked: the script knows whether configure has to run again, and
# nginx's own Makefile what has to be compiled.
module:
	@tools/build.sh

deps:
	@tools/install.sh build

run:
	@tools/run.sh chat

run-tls:
	@tools/run.sh chat-tls

stop:
	@tools/stop.sh

unit:
	@tools/install.sh build unit
	@tools/build.sh
	@$(MAKE) --no-print-directory unit-binaries
	@tools/test.sh unit

lint:
	@tools/install.sh build lint
	@tools/build.sh
	@tools/test.sh lint

# the tests on other builds of nginx
sanitize versions valgrind:
	@tools/install.sh build run test
	@tools/build.sh
	@tools/test.sh t/builds/$@.t

test:
	@tools/install.sh build run test lint
	@tools/build.sh
	@$(MAKE) --no-print-directory unit-binaries
	@tools/test.sh $(TESTS)

# until it is interrupted, or for STOMP_SOAK_SECONDS
soak:
	@tools/install.sh build run test
	@tools/build.sh
	@$(MAKE) --no-print-directory unit-binaries
	@tools/soak.sh

coverage:
	@tools/install.sh build run test coverage
	@tools/coverage.sh $(TESTS)

fuzz:
	@tools/fuzz.sh run $(FUZZ)

fuzz-merge:
	@tools/fuzz.sh merge $(FUZZ)

fuzz-coverage:
	@tools/fuzz.sh coverage $(FUZZ)

bench:
	@tools/install.sh build run bench
	@tools/build.sh
	@bench/run.sh

clean:
	@tools/stop.sh --quiet
	rm -rf $(BUILD)

include t/unit/rules.mk
include fuzz/fuzz.mk

help:
	@echo 'make            build $(BUILD)/ngx_stomp_module.so'
	@echo 'make run        build, start the chat example on port 8020'
	@echo 'make run-tls    the same with TLS on port 8443'
	@echo 'make stop       stop it'
	@echo 'make unit       run the unit tests'
	@echo 'make lint       run the checks of the code itself'
	@echo 'make sanitize   run tests on an nginx with sanitizers'
	@echo 'make versions   run tests on other versions of nginx'
	@echo 'make valgrind   run a broker under valgrind'
	@echo 'make test       run all tests (TESTS="t/a.t t/b.t" for some)'
	@echo 'make soak       kill workers with new seeds, until it is interrupted'
	@echo 'make coverage   tell which lines the tests execute (6 minutes)'
	@echo 'make fuzz       the fuzzers, long (FUZZ="ws parse" for some,'
	@echo '                FUZZ_SECONDS=600 for each)'
	@echo 'make fuzz-merge      keep what they have found in fuzz/corpus'
	@echo 'make fuzz-coverage   what the kept inputs reach'
	@echo 'make bench      speed and memory beside nchan, RabbitMQ and the'
	@echo '                limits of the machine (20 minutes; BENCH_ONLY=fan1k)'
	@echo 'make deps       install what the build needs (Debian, Ubuntu)'
	@echo 'make clean      remove $(BUILD)'
	@echo
	@echo 'run, unit, lint, test and coverage install the packages they miss,'
	@echo 'with apt-get; STOMP_NO_INSTALL=1 forbids that.'
	@echo
	@echo 'NGINX_SRC=DIR           build for this nginx source tree'
	@echo 'NGINX_FLAGS="..."       its configure flags (--with-compat)'
	@echo 'NDK_SRC=DIR             source of ngx_devel_kit'
	@echo 'NGINX_BIN=FILE          the nginx to run (/usr/sbin/nginx)'
	@echo 'NDK_MODULE=FILE         ndk_http_module.so for it'
	@echo 'CC=clang                another compiler'
	@echo 'STOMP_CFLAGS="..."      more compiler flags (STOMP_LDFLAGS: linker)'
	@echo 'BUILD=DIR               another folder for all that is built'
	@echo 'NGX_STOMP_TEST_HOOKS=1  with the hooks of the crash tests'
