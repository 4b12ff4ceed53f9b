
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * What the load tool measures: latencies, and the processor time of the
 * server's processes (--pids) while connections are opened and while messages
 * are measured, i.e. after the --warmup.
 */


#include "fanout.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HIST_SIZE      (64 + 58 * 32)
#define PIDS_MAX       64

int              measuring;
figures_t        opening_figures, figures;

static long      pids[PIDS_MAX];
static unsigned  npids;
static uint64_t  hist[HIST_SIZE];


/* "12,345": returns 0 if it is not a list of process ids */

int
measure_pids(const char *list)
{
    char  *end;

    while (npids < PIDS_MAX) {
        pids[npids] = strtol(list, &end, 10);

        if (end == list || pids[npids] <= 0) {
            return 0;
        }

        npids++;

        if (*end == '\0') {
            return 1;
        }

        if (*end != ',') {
            return 0;
        }

        list = end + 1;
    }

    return 0;
}


static int
read_text(const char *name, char *buf, size_t size)
{
    FILE    *f;
    size_t   n;

    f = fopen(name, "r");
    if (f == NULL) {
        return 0;
    }

    n = fread(buf, 1, size - 1, f);
    fclose(f);
    buf[n] = '\0';

    return n > 0;
}


/* nanoseconds of all threads; a kernel without schedstat says nothing */

static uint64_t
run_time_ns(long pid)
{
    DIR            *dir;
    char            name[320], buf[128];
    uint64_t        sum = 0;
    struct dirent  *entry;

    snprintf(name, sizeof(name), "/proc/%ld/task", pid);

    dir = opendir(name);
    if (dir == NULL) {
        return 0;
    }

    while ((entry = readdir(dir)) != NULL) {
        snprintf(name, sizeof(name), "/proc/%ld/task/%s/schedstat", pid,
                 entry->d_name);

        if (isdigit((unsigned char) entry->d_name[0])
            && read_text(name, buf, sizeof(buf)))
        {
            sum += strtoull(buf, NULL, 10);
        }
    }

    closedir(dir);

    return sum;
}


/* user and system time in ticks, which end with the process, not its threads */

static void
add_ticks(long pid, uint64_t *user, uint64_t *system)
{
    char      name[64], buf[1024], *p;
    uint64_t  u, s;

    snprintf(name, sizeof(name), "/proc/%ld/stat", pid);

    /* the name of the program may have any character, but ends with the
       last parenthesis */

    if (read_text(name, buf, sizeof(buf)) && (p = strrchr(buf, ')')) != NULL
        && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                  "%" SCNu64 " %" SCNu64, &u, &s) == 2)
    {
        *user += u;
        *system += s;
    }
}


/* what the host has taken from this virtual machine */

static uint64_t
stolen_ticks(void)
{
    char      buf[512];
    uint64_t  stolen;

    if (read_text("/proc/stat", buf, sizeof(buf))
        && sscanf(buf, "cpu %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &stolen)
           == 1)
    {
        return stolen;
    }

    return 0;
}


static void
take(figures_t *f, int sign)
{
    double    tick_us = 1e6 / sysconf(_SC_CLK_TCK);
    uint64_t  ns = 0, user = 0, system = 0;
    unsigned  i;

    for (i = 0; i < npids; i++) {
        ns += run_time_ns(pids[i]);
        add_ticks(pids[i], &user, &system);
    }

    f->cpu_us += sign * (ns ? ns / 1e3 : (user + system) * tick_us);
    f->user_us += sign * (double) user * tick_us;
    f->system_us += sign * (double) system * tick_us;
    f->stolen_us += sign * (double) stolen_ticks() * tick_us;
    f->own_us += sign * (double) clock() * 1e6 / CLOCKS_PER_SEC;
    f->seconds += sign * (double) clock_us() / 1e6;
}


void
measure_begin(figures_t *f)
{
    memset(f, 0, sizeof(*f));
    take(f, -1);
}


void
measure_end(figures_t *f)
{
    take(f, 1);
}


void
hist_add(uint64_t us)
{
    int  e;

    if (!measuring) {
        return;
    }

    if (us > max_us) {
        max_us = us;
    }

    if (us < 64) {
        hist[us]++;
        return;
    }

    e = 63 - __builtin_clzll(us);
    hist[64 + (e - 6) * 32 + ((us >> (e - 5)) & 31)]++;
}


uint64_t
hist_quantile(double q)
{
    int       i;
    uint64_t  total = 0, sum = 0;

    for (i = 0; i < HIST_SIZE; i++) {
        total += hist[i];
    }

    for (i = 0; i < HIST_SIZE; i++) {
        sum += hist[i];
        if (total != 0 && sum >= q * total) {
            break;
        }
    }

    if (i < 64 || i == HIST_SIZE) {
        return i < 64 ? (uint64_t) i : 0;
    }

    return ((uint64_t) (32 + (i - 64) % 32)) << ((i - 64) / 32 + 1);
}
