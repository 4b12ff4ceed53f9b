# Builds the fuzzers into $(FUZZ_OUT), that is $(BUILD)/fuzz.
#
#   FUZZ_<name> = <sources>
#
# builds fuzz/<name>_fuzz.c with the sources, of fuzz/ or t/unit/, and all of
# nginx and the module that they call, which tools/fuzz-build.sh has built.
# FUZZ_LDFLAGS_<name> adds flags.

FUZZ_OUT ?= $(BUILD)/fuzz

FUZZ_utf8 =
FUZZ_header =
FUZZ_origin =
FUZZ_parse = parse_feed.c unit_guard.c
FUZZ_ws = ws_feed.c unit_guard.c
FUZZ_handshake = host.c
FUZZ_batch = host.c
FUZZ_session = host.c model.c session_client.c session_names.c \
    session_receive.c zone_check.c zone_kept.c zone_pages.c zone_patterns.c \
    zone_queues.c

# What all of them have.
fuzz_common = fuzz.c reference.c ndk_stub.c

# Functions of the module that are looked into as they are called: by host.c,
# by model.c, and by a fuzzer itself.
fuzz_wrap = $(1:%=-Wl,--wrap=%)
fuzz_host_wrap = ngx_stomp_random
fuzz_model_wrap = ngx_stomp_broker_publish ngx_stomp_fanout_subscribe \
    ngx_stomp_fanout_unsubscribe

FUZZ_LDFLAGS_handshake = $(call fuzz_wrap,$(fuzz_host_wrap) \
    ngx_http_stomp_websocket_handler)
FUZZ_LDFLAGS_batch = $(call fuzz_wrap,$(fuzz_host_wrap) \
    ngx_http_stomp_push_publish)
FUZZ_LDFLAGS_session = $(call fuzz_wrap,$(fuzz_host_wrap) $(fuzz_model_wrap) \
    ngx_stomp_slot_alive ngx_stomp_session_init ngx_stomp_session_cleanup)

-include $(FUZZ_OUT)/nginx.mk

FUZZ_CC ?= clang

fuzzers := $(sort $(patsubst fuzz/%_fuzz.c,%,$(wildcard fuzz/*_fuzz.c)))

fuzz_flags = -g -fno-omit-frame-pointer -Wall -Wextra -Werror \
    -Wno-unused-parameter -Ifuzz -It/unit \
    $(foreach d,proto broker session http conf,-Ingx_stomp_module/$d) \
    $(FUZZ_INCS)

fuzz_sanitize = -O1 -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize-recover=all $(FUZZ_CFLAGS)

fuzz_headers := $(wildcard fuzz/*.h t/unit/*.h ngx_stomp_module/*/*.h) \
    fuzz/fuzz.mk

.PHONY: fuzz-binaries
fuzz-binaries: $(fuzzers:%=$(FUZZ_OUT)/%_fuzz)

$(FUZZ_OUT)/obj/%.o: fuzz/%.c $(fuzz_headers) $(FUZZ_OUT)/nginx.mk
	@mkdir -p $(@D)
	@$(FUZZ_CC) $(fuzz_sanitize) $(fuzz_flags) -c -o $@ $<

# What the unit tests have is not looked into: it is to be fast.
$(FUZZ_OUT)/obj/%.o: t/unit/%.c $(fuzz_headers) $(FUZZ_OUT)/nginx.mk
	@mkdir -p $(@D)
	@$(FUZZ_CC) -O2 $(fuzz_flags) -c -o $@ $<

define fuzz_rule
$(FUZZ_OUT)/$1_fuzz: $(patsubst %.c,$(FUZZ_OUT)/obj/%.o,$1_fuzz.c \
        $(FUZZ_$1) $(fuzz_common)) $(FUZZ_OUT)/libnginx.a
	@echo "  FUZZ  $1_fuzz"
	@$$(FUZZ_CC) -fsanitize=fuzzer,address,undefined $$(FUZZ_CFLAGS) \
	    -o $$@ $$^ \
	    -lcmocka -lcjson -lcrypt -ldl -lpthread $$(FUZZ_LDFLAGS_$1)
endef

$(foreach f,$(fuzzers),$(eval $(call fuzz_rule,$f)))
