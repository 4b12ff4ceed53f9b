# One line for each test:
#
#   UNIT_<name> = <sources>
#
# builds t/unit/<name>_test.c, together with the sources, into
# build/unit/<name>_test.  A source with a folder ("proto/ngx_stomp_ws.c") is
# one of ngx_stomp_module/, one without ("stub.c") stands in t/unit/.  The
# test sees only the headers of the layers whose sources it names, and of the
# layers below them.  UNIT_CFLAGS_<name> and UNIT_LIBS_<name> add flags.
#
# A test is a cmocka program that runs one group of tests: with two, its TAP
# would have two plans.  nginx's own .c files are not there to be linked
# (distributions package its headers only); what a test needs of them is
# written in a stub.

UNIT_utf8 = proto/ngx_stomp_utf8.c unit_guard.c
UNIT_json = proto/ngx_stomp_json.c proto/ngx_stomp_utf8.c unit_guard.c
UNIT_ws = proto/ngx_stomp_ws.c proto/ngx_stomp_utf8.c ws_feed.c unit_guard.c
UNIT_ws_accept = proto/ngx_stomp_ws_accept.c ngx_stub.c unit_guard.c
UNIT_header = proto/ngx_stomp_header.c unit_guard.c
UNIT_serialize = proto/ngx_stomp_serialize.c proto/ngx_stomp_header.c \
    unit_guard.c
UNIT_parse = proto/ngx_stomp_parse.c proto/ngx_stomp_header.c \
    proto/ngx_stomp_utf8.c parse_feed.c unit_guard.c

UNIT_pattern = broker/ngx_stomp_pattern.c ngx_stub.c unit_guard.c

# All of broker/ but its event part, which ngx_broker_stub.c stands for.
broker_unit = broker/ngx_stomp_zone.c broker/ngx_stomp_arena.c \
    broker/ngx_stomp_test_hooks.c broker/ngx_stomp_hash.c \
    broker/ngx_stomp_slot.c broker/ngx_stomp_dest.c \
    broker/ngx_stomp_message.c broker/ngx_stomp_inbox.c \
    broker/ngx_stomp_heap.c broker/ngx_stomp_queue.c \
    broker/ngx_stomp_credit.c broker/ngx_stomp_dispatch.c \
    broker/ngx_stomp_publish.c broker/ngx_stomp_publish_keep.c \
    broker/ngx_stomp_history.c broker/ngx_stomp_cursor.c \
    broker/ngx_stomp_reap.c broker/ngx_stomp_broker.c \
    broker/ngx_stomp_broker_session.c \
    broker/ngx_stomp_wildcard.c broker/ngx_stomp_match.c \
    ngx_broker_stub.c broker_fixture.c zone_check.c \
    zone_kept.c zone_pages.c zone_patterns.c zone_digest.c zone_queues.c

UNIT_wildcard = broker/ngx_stomp_wildcard.c ngx_stub.c unit_guard.c
UNIT_match = $(broker_unit)
UNIT_arena = $(broker_unit)
UNIT_slot = $(broker_unit)
UNIT_broker = $(broker_unit)
UNIT_queue = $(broker_unit) queue_worker.c
UNIT_queue_kill = $(broker_unit) queue_ledger.c
UNIT_lock = $(broker_unit)
UNIT_full = $(broker_unit)
UNIT_crash = $(broker_unit) crash_operations.c crash_kept.c crash_queues.c \
    zone_model.c zone_model_kept.c zone_model_message.c zone_content.c
UNIT_storm = $(broker_unit) queue_ledger.c
UNIT_guard = $(broker_unit) crash_operations.c crash_kept.c crash_queues.c \
    lock_guard.c lock_guard_rules.c
UNIT_model = $(broker_unit) zone_model.c zone_model_kept.c \
    zone_model_message.c zone_content.c model_worker.c model_choice.c

# A part of session/ alone.
UNIT_rate = session/ngx_stomp_rate.c session_stub.c
UNIT_transaction = session/ngx_stomp_transaction.c \
    session/ngx_stomp_publication.c session/ngx_stomp_user.c \
    proto/ngx_stomp_header.c \
    proto/ngx_stomp_utf8.c session_stub.c

# Some thousand forks, each ten times as slow with the address sanitizer,
# which sees nothing of what happens within a mapping anyway.
UNIT_CFLAGS_crash = -fno-sanitize=address
UNIT_CFLAGS_queue = -fno-sanitize=address
UNIT_CFLAGS_queue_kill = -fno-sanitize=address
UNIT_CFLAGS_storm = -fno-sanitize=address
UNIT_CFLAGS_model = -fno-sanitize=address

# The guard of the lock stands around these; the address sanitizer has a
# handler of its own for SIGSEGV, and reads the zone itself.
UNIT_CFLAGS_guard = -fno-sanitize=address
UNIT_LIBS_guard = -Wl,--wrap=ngx_stomp_zone_lock \
    -Wl,--wrap=ngx_stomp_zone_unlock \
    -Wl,--wrap=ngx_stomp_arena_collect_locked
