
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a client sends more than its rate, or less; a session stays
 * asleep, or its timer keeps calling for one that is gone.
 */


#include <session_stub.h>
#include <ngx_stomp_rate.h>

#include <stdlib.h>


#define session  (&session_stub.session)
#define conf     (&session_stub.conf)


static ngx_stomp_carry_t  rate_carry;


/* a session with rates, 0: none; frames of it wait */

static void
rate_start(size_t messages, size_t message_burst, size_t bytes,
    size_t byte_burst)
{
    session_stub_init();

    session->carry = &rate_carry;
    conf->message_rate = messages;
    conf->message_burst = message_burst;
    conf->byte_rate = bytes;
    conf->byte_burst = byte_burst;

    assert_int_equal(ngx_stomp_rate_init(session), NGX_OK);
}


static void
rate_end(void)
{
    ngx_stomp_rate_cleanup(session);

    assert_false(session->delayed);
    assert_false(session_stub_timer());

    free(session->extra);
    session->extra = NULL;
}


/* frames that are let through now, up to max */

static ngx_uint_t
rate_frames(ngx_uint_t max)
{
    ngx_uint_t  n;

    for (n = 0; n < max; n++) {

        if (ngx_stomp_rate_check(session) != NGX_OK) {
            break;
        }

        ngx_stomp_rate_frame(session);
    }

    return n;
}


static void
test_off(void **state)
{
    rate_start(0, 0, 0, 0);

    assert_null(session->extra);
    assert_false(session->limited);

    rate_end();
}


static void
test_burst(void **state)
{
    rate_start(10, 25, 0, 0);

    assert_true(session->limited);
    assert_int_equal(rate_frames(100), 25);
    assert_true(session->delayed);
    assert_true(session_stub_timer());
    assert_int_equal(session_stub.broker.delayed, 1);

    /* one each 100 ms; told once how often it waits */

    session_stub_sleep(99);
    assert_int_equal(session_stub.inputs, 0);

    session_stub_sleep(1);
    assert_int_equal(session_stub.inputs, 1);
    assert_int_equal(session_stub.resumed, 1);
    assert_false(session->delayed);
    assert_int_equal(rate_frames(100), 1);

    /* what was not used is kept, up to the burst */

    session_stub_sleep(1000000);
    assert_int_equal(rate_frames(100), 25);

    rate_end();
}


/* whatever the rate, so many frames pass in ten seconds */

static void
test_rates(void **state)
{
    ngx_uint_t  i, n;

    static const struct {
        size_t      rate;
        size_t      burst;
    } rates[] = {
        { 1, 1 }, { 3, 1 }, { 7, 5 }, { 100, 1 }, { 100, 200 }, { 999, 10 },
        { 1000, 1 }, { 5000, 5000 }, { 5000, 20 }
    };

    for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {

        rate_start(rates[i].rate, rates[i].burst, 0, 0);

        n = rate_frames(1000000);
        assert_int_equal(n, rates[i].burst);

        while (ngx_current_msec < 1000000 + 10000) {
            session_stub_sleep(1);

            if (!session->delayed) {
                n += rate_frames(1000000);
            }
        }

        assert_in_range(n, rates[i].burst + 9 * rates[i].rate,
                        rates[i].burst + 10 * rates[i].rate);
        rate_end();
    }
}


/* handled in portions: not one turn of the event loop for each frame */

static void
test_portions(void **state)
{
    rate_start(1000, 100, 0, 0);

    assert_int_equal(rate_frames(1000), 100);
    session_stub_sleep(19);
    assert_int_equal(session_stub.inputs, 0);
    session_stub_sleep(1);
    assert_int_equal(session_stub.inputs, 1);
    assert_int_equal(rate_frames(1000), 20);

    rate_end();
}


static void
test_octets(void **state)
{
    rate_start(0, 0, 10000, 20000);

    ngx_stomp_rate_octets(session, 20000);
    assert_false(session->delayed);
    assert_int_equal(ngx_stomp_rate_check(session), NGX_OK);

    /* the debt is paid before the next octets */

    ngx_stomp_rate_octets(session, 5000);
    assert_true(session->delayed);
    session_stub_sleep(499);
    assert_true(session->delayed);
    session_stub_sleep(1);
    assert_false(session->delayed);
    assert_int_equal(session_stub.resumed, 1);

    /* a second time while it waits: the later one counts */

    ngx_stomp_rate_octets(session, 1000);
    ngx_stomp_rate_octets(session, 1000);
    assert_int_equal(session_stub.broker.delayed, 2);
    session_stub_sleep(199);
    assert_true(session->delayed);
    session_stub_sleep(1);
    assert_false(session->delayed);

    rate_end();
}


static void
test_close(void **state)
{
    rate_start(5, 5, 1000, 1000);
    conf->rate_policy = NGX_STOMP_RATE_CLOSE;

    assert_int_equal(rate_frames(10), 5);
    assert_int_equal(ngx_stomp_rate_check(session), NGX_DONE);
    assert_string_equal(session_stub.error, "rate exceeded");
    assert_int_equal(session_stub.code, 1008);
    assert_false(session->delayed);

    session_stub.error = NULL;
    ngx_stomp_rate_octets(session, 1000);
    assert_null(session_stub.error);
    ngx_stomp_rate_octets(session, 1);
    assert_string_equal(session_stub.error, "rate exceeded");
    assert_false(session->delayed);

    rate_end();
}


/* CONNECT and what comes before it is no frame of a rate */

static void
test_connect(void **state)
{
    rate_start(5, 1, 0, 0);

    session->state = NGX_STOMP_SESSION_NEW;
    assert_int_equal(rate_frames(3), 3);

    session->state = NGX_STOMP_SESSION_CONNECTED;
    assert_int_equal(rate_frames(3), 1);

    rate_end();
}


/* times that run don't count what was not read */

static void
test_times(void **state)
{
    rate_start(0, 0, 1024, 1024);

    session->partial = (uint32_t) (ngx_current_msec / 1000) - 3;
    session->received = session->partial;

    ngx_stomp_rate_octets(session, 1024 + 10 * 1024);
    session_stub_sleep(10000);

    assert_false(session->delayed);
    assert_int_equal(session->received, ngx_current_msec / 1000);
    assert_int_equal(session->partial, ngx_current_msec / 1000 - 3);

    rate_end();
}


/* the zone is full as well: it is tried in the next tick, not now */

static void
test_paused(void **state)
{
    rate_start(0, 0, 1024, 1024);

    session->paused = 1;
    ngx_stomp_rate_octets(session, 2048);
    session_stub_sleep(1000);

    assert_false(session->delayed);
    assert_true(session->paused);
    assert_int_equal(session_stub.inputs, 0);
    assert_int_equal(session_stub.resumed, 0);
    assert_int_equal(session_stub.hurried, 1);

    rate_end();
}


/* who finishes reads its peer's end; who is dead is not called any more */

static void
test_end(void **state)
{
    rate_start(0, 0, 1024, 1024);

    ngx_stomp_rate_octets(session, 16 * 1024);
    ngx_stomp_rate_hurry(session);
    session_stub_sleep(1);
    assert_false(session->delayed);
    assert_int_equal(session_stub.resumed, 1);

    /* without frames that wait it only reads */

    assert_int_equal(session_stub.inputs, 1);
    session->carry = NULL;
    ngx_stomp_rate_octets(session, 1024);
    session_stub_sleep(20000);
    assert_int_equal(session_stub.resumed, 2);
    assert_int_equal(session_stub.inputs, 1);

    /* frames that wait still: it does not read */

    session->carry = &rate_carry;

    session_stub.input = NGX_BUSY;
    ngx_stomp_rate_octets(session, 2048);
    session_stub_sleep(20000);
    assert_int_equal(session_stub.resumed, 2);

    ngx_stomp_rate_octets(session, 64 * 1024);
    assert_true(session->delayed);
    session->dead = 1;
    session_stub_sleep(100000);
    assert_int_equal(session_stub.inputs, 2);

    session->dead = 0;
    ngx_stomp_rate_octets(session, 256 * 1024);
    assert_true(session->delayed);
    assert_true(session_stub_timer());

    rate_end();
}


static void
test_memory(void **state)
{
    session_stub_init();

    conf->message_rate = 1;
    conf->message_burst = 1;
    session_stub.fail = 1;

    assert_int_equal(ngx_stomp_rate_init(session), NGX_ERROR);
    assert_false(session->limited);
}


/* the clock is set back, or starts anew */

static void
test_clock(void **state)
{
    rate_start(10, 10, 0, 0);

    assert_int_equal(rate_frames(100), 10);
    ngx_stomp_rate_cleanup(session);

    ngx_current_msec -= 5000;
    assert_int_equal(ngx_stomp_rate_check(session), NGX_BUSY);
    session_stub_sleep(100);
    assert_int_equal(rate_frames(100), 1);

    rate_end();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_portions),
        cmocka_unit_test(test_octets),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_clock)
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
