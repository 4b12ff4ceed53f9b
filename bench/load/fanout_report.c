
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The load tool's result: JSON, or a table for people.
 */


#include "fanout.h"

#include <stdio.h>


static void
print_counts(const char *name, unsigned *count, unsigned size, int hex)
{
    unsigned     i;
    const char  *comma = "";

    printf("\"%s\": {", name);

    for (i = 0; i < size; i++) {
        if (count[i]) {
            printf(hex ? "%s\"%x\": %u" : "%s\"%u\": %u", comma, i, count[i]);
            comma = ", ";
        }
    }

    printf("}");
}


static void
print_faults(void)
{
    conn_t      *c;
    tally_t     *of;
    unsigned     p, n = 0;

    printf("\"faults\": [");

    for (c = subs; c < subs + o.subscribers; c++) {
        for (p = 0; p < o.publishers && n < 50; p++) {
            of = &c->of[p];

            if (of->lost || of->doubled || of->disorder) {
                printf("%s{\"subscriber\": %u, \"slot\": \"%x\", "
                       "\"publisher\": %u, \"lost\": %u, \"doubled\": %u, "
                       "\"out_of_order\": %u}", n++ ? ", " : "", c->index,
                       (unsigned) c->slot, p, of->lost, of->doubled,
                       of->disorder);
            }
        }
    }

    printf("]");
}


/* subscribers on their first connection */

static unsigned
survivors(void)
{
    conn_t    *c;
    unsigned   n = 0;

    for (c = subs; c < subs + o.subscribers; c++) {
        n += c->state == ST_READY && c->nlives == 0;
    }

    return n;
}


static double
per(double value, double count)
{
    return count > 0 ? value / count : 0;
}


static void
print_figures(const char *sep, double seconds, uint64_t measured)
{
    size_t  i;

    struct {
        const char  *name;
        double       value;
    } numbers[] = {
        { "seconds", seconds },
        { "deliveries_per_s", per(measured, seconds) },
        { "published_per_s", per(sent - refused - o.warmup, seconds) },
        { "cpu_us", figures.cpu_us }, { "user_us", figures.user_us },
        { "system_us", figures.system_us },
        { "cpu_us_per_delivery", per(figures.cpu_us, measured) },
        { "cpu_us_per_publish", per(figures.cpu_us, sent - o.warmup) },
        { "own_us", figures.own_us }, { "stolen_us", figures.stolen_us },
        { "phase_seconds", figures.seconds },
        { "opening_seconds", opening_figures.seconds },
        { "opening_cpu_us", opening_figures.cpu_us },
        { "opening_cpu_us_per_session",
          per(opening_figures.cpu_us, o.subscribers) },
        { "opened_per_s", per(o.subscribers, opening_figures.seconds) },
        { "changes_per_s", per(changes, figures.seconds) }
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        printf("%s\"%s\": %.6f", sep, numbers[i].name, numbers[i].value);
    }
}


static void
print_json(int ok, double seconds, uint64_t measured)
{
    size_t       i;
    const char  *sep = o.json ? ", " : ",\n  ";

    struct {
        const char  *name;
        uint64_t     value;
    } numbers[] = {
        { "subscribers", o.subscribers }, { "ready", ready },
        { "survivors", survivors() },
        { "published", sent - refused }, { "refused", refused },
        { "uncertain", uncertain }, { "received", received },
        { "lost", lost }, { "duplicated", duplicated },
        { "out_of_order", out_of_order }, { "order_hash_mismatch", mismatch },
        { "lost_connections", lost_connections }, { "errors", errors },
        { "uncertain_seen", uncertain_seen() },
        { "reconnects", reconnects }, { "unavailable", unavailable },
        { "beats", beats }, { "measured", measured },
        { "p50_us", hist_quantile(0.5) }, { "p99_us", hist_quantile(0.99) },
        { "p999_us", hist_quantile(0.999) }, { "max_us", max_us }
    };

    printf("{%s\"ok\": %s", o.json ? "" : "\n  ", ok ? "true" : "false");

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        printf("%s\"%s\": %llu", sep, numbers[i].name,
               (unsigned long long) numbers[i].value);
    }

    print_figures(sep, seconds, measured);

    printf("%s", sep);
    print_counts("slots", slot_count, MAX_SLOTS, 1);
    printf("%s", sep);
    print_counts("lost_slots", slot_lost, MAX_SLOTS, 1);
    printf("%s", sep);
    print_counts("closes", closes, 5000, 0);
    printf("%s", sep);
    print_faults();
    printf(o.json ? "}\n" : "\n}\n");
}


static void
print_table(int ok, double seconds, uint64_t measured)
{
    printf("%-28s %s\n", "result", ok ? "ok" : "FAILED");
    printf("%-28s %u\n", "subscribers", o.subscribers);
    printf("%-28s %llu\n", "deliveries", (unsigned long long) measured);
    printf("%-28s %.0f\n", "deliveries/s", per(measured, seconds));
    printf("%-28s %.0f\n", "messages/s",
           per(sent - refused - o.warmup, seconds));
    printf("%-28s %.2f / %.2f / %.2f / %.2f ms\n",
           "latency p50/p99/p99.9/max", hist_quantile(0.5) / 1e3,
           hist_quantile(0.99) / 1e3, hist_quantile(0.999) / 1e3,
           max_us / 1e3);
    printf("%-28s %llu / %llu / %llu\n", "lost/doubled/out of order",
           (unsigned long long) lost, (unsigned long long) duplicated,
           (unsigned long long) out_of_order);

    if (figures.cpu_us > 0) {
        printf("%-28s %.3f us (user %.0f %%)\n", "server CPU a delivery",
               per(figures.cpu_us, measured),
               100 * per(figures.user_us,
                         figures.user_us + figures.system_us));
    }

    printf("%-28s %.0f\n", "connections opened/s",
           per(o.subscribers, opening_figures.seconds));
}


/* measured: deliveries behind the warm-up */

void
print_result(int ok, uint64_t measured)
{
    double  seconds;

    seconds = last_us > first_us ? (last_us - first_us) / 1e6 : 0;

    if (o.table) {
        print_table(ok, seconds, measured);

    } else {
        print_json(ok, seconds, measured);
    }
}
