
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The load tool's options.
 */


#include "fanout.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

options_t  o = {
    .path = "/endpoint-websocket", .dest = "/topic/fanout",
    .push_path = "/push", .subscribers = 1, .publishers = 1, .messages = 100,
    .body = 64, .window = -1, .hold = -1, .timeout = 60, .stall = 5,
    .host = "127.0.0.1", .churn_rate = 1000
};

static const char  usage[] =
"usage: fanout --port N [options]\n"
"  --path P            WebSocket endpoint (/endpoint-websocket)\n"
"  --raw               the server pushes bodies, no STOMP: the destination is\n"
"                      appended to the endpoint\n"
"  --lax               another STOMP server: what it writes into session and\n"
"                      message-id is its own affair\n"
"  --host H            host header of CONNECT (127.0.0.1)\n"
"  --subscribers N     connections that subscribe (1); may be 0\n"
"  --own-ids           each with a subscription id of its own\n"
"  --destination D     destination (/topic/fanout)\n"
"  --destinations M    M of them, D0 .. D<M-1>; subscriber i on D<i mod M>\n"
"  --messages K        messages in all (100)\n"
"  --body B            octets of a body, 40 or more (64)\n"
"  --publish HOW       http, send or alternate (http)\n"
"  --publishers P      publishing connections (1)\n"
"  --receipt           SEND waits for its RECEIPT\n"
"  --push-path P       the destination is appended (/push)\n"
"  --window W          closed loop: at most W messages that a subscriber has\n"
"                      not received (100)\n"
"  --rate R            messages a second instead (a window only if given)\n"
"  --timeout S         bound for the whole run (60)\n"
"  --stall S           give up after S seconds without progress (5)\n"
"  --hold S            publish nothing: READY, hold S seconds; 0: until a\n"
"                      line or the end of the standard input\n"
"  --survive           lost connections are counted, the others must still\n"
"                      receive all; READY is printed before publishing\n"
"  --reconnect         the same, and lost subscribers come back: what is\n"
"                      published from then on is owed to them\n"
"  --until-eof         publish until the standard input ends, at most K\n"
"  --warmup K          messages before the measured ones (0)\n"
"  --seconds S         publish for so long behind the warm-up, at most K\n"
"  --pids P,P,...      processes whose processor time is measured\n"
"  --spin              never sleep, so that the server need not wake us\n"
"  --churners N        connections that subscribe and unsubscribe (0)\n"
"  --churn-rate R      changes of all of them a second (1000)\n"
"  --json              the result on one line\n"
"  --table             a table instead\n";


static void
bad_usage(const char *why)
{
    fprintf(stderr, "fanout: %s\n%s", why, usage);
    exit(2);
}


static void
parse_how(const char *how)
{
    o.publish = strcmp(how, "http") == 0 ? HTTP
                : strcmp(how, "send") == 0 ? SEND
                : strcmp(how, "alternate") == 0 ? ALTERNATE : 0;

    if (o.publish == 0) {
        bad_usage("unknown way to publish");
    }
}


void
parse_options(int argc, char **argv)
{
    int                         c;
    static const struct option  list[] = {
        { "port", 1, 0, 'p' }, { "path", 1, 0, 'u' },
        { "subscribers", 1, 0, 'n' }, { "destination", 1, 0, 'd' },
        { "destinations", 1, 0, 'm' }, { "messages", 1, 0, 'k' },
        { "body", 1, 0, 'b' }, { "publish", 1, 0, 'h' },
        { "publishers", 1, 0, 'P' }, { "push-path", 1, 0, 'q' },
        { "window", 1, 0, 'w' }, { "rate", 1, 0, 'r' },
        { "timeout", 1, 0, 't' }, { "stall", 1, 0, 's' },
        { "hold", 1, 0, 'H' }, { "survive", 0, &o.survive, 1 },
        { "receipt", 0, &o.receipt, 1 }, { "own-ids", 0, &o.own_ids, 1 },
        { "reconnect", 0, &o.reconnect, 1 },
        { "until-eof", 0, &o.until_eof, 1 }, { "raw", 0, &o.raw, 1 },
        { "lax", 0, &o.lax, 1 }, { "host", 1, 0, 'o' },
        { "warmup", 1, 0, 'W' }, { "pids", 1, 0, 'i' },
        { "churners", 1, 0, 'c' }, { "churn-rate", 1, 0, 'C' },
        { "seconds", 1, 0, 'S' },
        { "table", 0, &o.table, 1 }, { "spin", 0, &o.spin, 1 },
        { "json", 0, &o.json, 1 }, { 0, 0, 0, 0 }
    };

    o.publish = HTTP;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        switch (c) {
        case 'p': o.port = atoi(optarg); break;
        case 'u': o.path = optarg; break;
        case 'n': o.subscribers = strtoul(optarg, NULL, 10); break;
        case 'd': o.dest = optarg; break;
        case 'm': o.dests = strtoul(optarg, NULL, 10); break;
        case 'k': o.messages = strtoul(optarg, NULL, 10); break;
        case 'b': o.body = atol(optarg); break;
        case 'h': parse_how(optarg); break;
        case 'P': o.publishers = strtoul(optarg, NULL, 10); break;
        case 'q': o.push_path = optarg; break;
        case 'w': o.window = atol(optarg); break;
        case 'r': o.rate = atof(optarg); break;
        case 't': o.timeout = atof(optarg); break;
        case 's': o.stall = atof(optarg); break;
        case 'H': o.hold = atol(optarg); break;
        case 'o': o.host = optarg; break;
        case 'W': o.warmup = strtoul(optarg, NULL, 10); break;
        case 'c': o.churners = strtoul(optarg, NULL, 10); break;
        case 'S': o.seconds = atof(optarg); break;
        case 'C': o.churn_rate = atof(optarg); break;
        case 'i':
            if (!measure_pids(optarg)) {
                bad_usage("--pids wants numbers with commas between");
            }
            break;
        case 0: break;
        default: bad_usage("unknown option");
        }
    }

    if (o.port <= 0 || optind != argc) {
        bad_usage("--port is needed, arguments are not");
    }

    if (o.body < 40 || o.body > 64 << 20 || o.messages > 100000000
        || o.publishers < 1 || o.publishers > 1024 || o.subscribers > 18000
        || o.churners > 10000 || o.churn_rate <= 0 || o.warmup > o.messages
        || strlen(o.dest) > 400 || strlen(o.push_path) > 400
        || strlen(o.path) > 200 || strlen(o.host) > 200)
    {
        bad_usage("an option is out of its bounds");
    }

    if (o.raw && (o.publish != HTTP || o.churners)) {
        bad_usage("--raw goes with --publish http and without --churners");
    }

    o.survive = o.survive || o.reconnect;

    if (o.window == -1) {
        o.window = o.rate > 0 ? 0 : 100;
    }
}
