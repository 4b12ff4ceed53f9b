
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a transaction keeps memory that it counts as free, or counts
 * what it does not have; frames are published or acknowledged in another
 * order than they were sent, or although there was no memory for all of them.
 */


#include <session_stub.h>
#include <ngx_stomp_transaction.h>

#include <stdlib.h>
#include <string.h>


#define session  (&session_stub.session)
#define conf     (&session_stub.conf)


static char    acked[256];


static void
transaction_acknowledge(ngx_stomp_session_t *s, ngx_stomp_held_ack_t *ack)
{
    size_t  len;

    len = strlen(acked);

    /* what is published comes before what is acknowledged */

    snprintf(acked + len, sizeof(acked) - len, "%s %.*s,%.*s after %u;",
             ack->nack ? "nack" : "ack", (int) ack->id.len,
             (char *) ack->id.data, (int) ack->subscription.len,
             (char *) ack->subscription.data, (unsigned) session_stub.calls);
}


static void
transaction_start(void)
{
    session_stub_init();

    conf->max_transactions = 3;
    conf->max_transaction_frames = 5;
    conf->max_transaction_size = 10000;

    session_stub.hub.acknowledge = transaction_acknowledge;
    acked[0] = '\0';
}


static void
transaction_end(void)
{
    ngx_stomp_transaction_forget(session);

    if (session->extra != NULL) {
        assert_null(session->extra->transactions);
        assert_int_equal(session->extra->ntransactions, 0);
        assert_int_equal(session->extra->held, 0);
    }

    free(session->extra);
    session->extra = NULL;
}


static ngx_int_t
transaction_do(ngx_stomp_command_e command, const char *id)
{
    ngx_stomp_frame_t  frame;

    session_stub.error = NULL;

    session_stub_frame(&frame, command, NULL, "transaction", id, NULL);

    switch (command) {

    case NGX_STOMP_CMD_BEGIN:
        return ngx_stomp_transaction_begin(session, &frame);

    case NGX_STOMP_CMD_COMMIT:
        return ngx_stomp_transaction_commit(session, &frame);

    default:
        return ngx_stomp_transaction_abort(session, &frame);
    }
}


#define transaction_begin(id)   transaction_do(NGX_STOMP_CMD_BEGIN, id)
#define transaction_commit(id)  transaction_do(NGX_STOMP_CMD_COMMIT, id)
#define transaction_abort(id)   transaction_do(NGX_STOMP_CMD_ABORT, id)


static ngx_int_t
transaction_send(const char *id, const char *body)
{
    ngx_str_t          destination;
    ngx_stomp_frame_t  frame;

    session_stub.error = NULL;

    session_stub_frame(&frame, NGX_STOMP_CMD_SEND, body, "transaction", id,
                       "receipt", "r", "k", "v:v", NULL);
    ngx_str_set(&destination, "/topic/a");

    return ngx_stomp_transaction_hold_send(session, &frame, &destination);
}


static ngx_int_t
transaction_ack(const char *id, ngx_uint_t nack, const char *name)
{
    ngx_stomp_frame_t  frame;

    session_stub_frame(&frame, nack ? NGX_STOMP_CMD_NACK : NGX_STOMP_CMD_ACK,
                       NULL, "transaction", id, name, "7", "subscription", "s",
                       NULL);

    return ngx_stomp_transaction_hold_ack(session, &frame, nack);
}


static void
test_order(void **state)
{
    transaction_start();

    assert_int_equal(transaction_begin("a"), NGX_OK);
    assert_int_equal(transaction_begin("b"), NGX_OK);
    assert_int_equal(transaction_send("a", "1"), NGX_OK);
    assert_int_equal(transaction_ack("a", 0, "id"), NGX_OK);
    assert_int_equal(transaction_send("b", "2"), NGX_OK);
    assert_int_equal(transaction_send("a", ""), NGX_OK);
    assert_int_equal(transaction_ack("a", 1, "message-id"), NGX_OK);
    assert_int_equal(transaction_send("a", "3"), NGX_OK);
    assert_int_equal(session_stub.calls, 0);

    assert_int_equal(transaction_commit("a"), NGX_OK);
    assert_int_equal(session_stub.calls, 1);
    assert_string_equal(session_stub.text, "/topic/a|k:v\\cv\n|1;"
                                           "/topic/a|k:v\\cv\n|;"
                                           "/topic/a|k:v\\cv\n|3;");
    assert_string_equal(acked, "ack 7,s after 1;nack ,s after 1;");
    assert_int_equal(session->extra->ntransactions, 1);

    assert_int_equal(transaction_abort("b"), NGX_OK);
    assert_int_equal(session_stub.calls, 1);
    assert_int_equal(session->extra->held, 0);

    /* before 1.2 an acknowledgement has the message's id */

    session->version = NGX_STOMP_V11;
    acked[0] = '\0';

    assert_int_equal(transaction_begin("a"), NGX_OK);
    assert_int_equal(transaction_ack("a", 0, "message-id"), NGX_OK);
    assert_int_equal(transaction_commit("a"), NGX_OK);
    assert_int_equal(session_stub.calls, 1);
    assert_string_equal(acked, "ack 7,s after 1;");

    transaction_end();
}


/* the headers are the frame's no longer */

static void
test_copies(void **state)
{
    char               id[] = "tx", destination[] = "/topic/x", body[] = "body";
    ngx_str_t          name;
    ngx_stomp_frame_t  frame;

    transaction_start();

    assert_int_equal(transaction_begin(id), NGX_OK);

    session_stub_frame(&frame, NGX_STOMP_CMD_SEND, body, "destination",
                       destination, "transaction", id, NULL);
    name = frame.headers[0].value;

    assert_int_equal(ngx_stomp_transaction_hold_send(session, &frame, &name),
                     NGX_OK);

    memset(destination, '#', sizeof(destination) - 1);
    memset(body, '#', sizeof(body) - 1);
    memset(id, '#', sizeof(id) - 1);

    assert_int_equal(transaction_commit("tx"), NGX_OK);
    assert_string_equal(session_stub.text,
                        "/topic/x|destination:/topic/x\n|body;");
    transaction_end();
}


static void
test_refused(void **state)
{
    ngx_stomp_frame_t  frame;

    transaction_start();

    assert_int_equal(transaction_commit("a"), NGX_DONE);
    assert_string_equal(session_stub.error, "unknown transaction");
    assert_int_equal(transaction_abort("a"), NGX_DONE);
    assert_string_equal(session_stub.error, "unknown transaction");
    assert_int_equal(transaction_send("a", "x"), NGX_DONE);
    assert_string_equal(session_stub.error, "unknown transaction");

    session_stub.error = NULL;
    assert_int_equal(transaction_ack("a", 0, "id"), NGX_DONE);
    assert_string_equal(session_stub.error, "unknown transaction");

    session_stub_frame(&frame, NGX_STOMP_CMD_BEGIN, NULL, "receipt", "a",
                       NULL);
    assert_int_equal(ngx_stomp_transaction_begin(session, &frame), NGX_DONE);
    assert_string_equal(session_stub.error, "missing header");

    assert_int_equal(transaction_begin("a"), NGX_OK);
    assert_int_equal(transaction_begin("a"), NGX_DONE);
    assert_string_equal(session_stub.error, "transaction already open");

    transaction_end();
}


static void
test_limits(void **state)
{
    ngx_uint_t  i;

    static char  body[9300];

    transaction_start();

    assert_int_equal(transaction_begin("a"), NGX_OK);
    assert_int_equal(transaction_begin("b"), NGX_OK);
    assert_int_equal(transaction_begin("c"), NGX_OK);
    assert_int_equal(transaction_begin("d"), NGX_DONE);
    assert_string_equal(session_stub.error, "too many transactions");

    for (i = 0; i < 5; i++) {
        assert_int_equal(transaction_send("a", "x"), NGX_OK);
    }

    assert_int_equal(transaction_send("a", "x"), NGX_DONE);
    assert_string_equal(session_stub.error,
                        "too many frames in a transaction");
    assert_int_equal(transaction_ack("a", 0, "id"), NGX_DONE);

    /* all of them together have one size */

    memset(body, 'x', sizeof(body) - 1);

    assert_int_equal(transaction_send("b", body), NGX_DONE);
    assert_string_equal(session_stub.error, "transaction too large");
    assert_int_equal(session_stub.code, 1009);

    assert_int_equal(transaction_abort("a"), NGX_OK);
    assert_int_equal(transaction_send("b", body), NGX_OK);
    assert_int_equal(transaction_send("c", "x"), NGX_OK);
    assert_in_range(session->extra->held, 9300, 10000);

    transaction_end();
}


static void
test_full(void **state)
{
    transaction_start();

    assert_int_equal(transaction_begin("a"), NGX_OK);
    assert_int_equal(transaction_send("a", "x"), NGX_OK);
    assert_int_equal(transaction_ack("a", 0, "id"), NGX_OK);

    session_stub.published = NGX_BUSY;
    assert_int_equal(transaction_commit("a"), NGX_BUSY);
    session_stub.published = NGX_DECLINED;
    assert_int_equal(transaction_commit("a"), NGX_DECLINED);

    session_stub.published = NGX_ABORT;
    assert_int_equal(transaction_commit("a"), NGX_DONE);
    assert_string_equal(session_stub.error, "transaction too large");
    assert_string_equal(acked, "");

    /* it is as it was */

    session_stub.published = NGX_OK;
    assert_int_equal(transaction_commit("a"), NGX_OK);
    assert_int_equal(session_stub.calls, 1);
    assert_string_equal(acked, "ack 7,s after 1;");

    transaction_end();
}


/* each allocation fails once: the session ends, and nothing is lost */

static void
test_memory(void **state)
{
    ngx_uint_t  n, done;

    done = 0;

    for (n = 1; !done; n++) {

        transaction_start();

        session_stub.fail = n;

        done = (transaction_begin("a") == NGX_OK
                && transaction_send("a", "x") == NGX_OK
                && transaction_ack("a", 0, "id") == NGX_OK
                && transaction_commit("a") == NGX_OK);

        assert_int_equal(session_stub.aborted, done ? 0 : 1);
        assert_int_equal(session_stub.calls, done);
        assert_null(session_stub.error);

        transaction_end();
    }

    assert_int_equal(n - 2, 5);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_memory)
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
