
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: the zone hands the same octets out twice, or fills up although
 * everything was given back.
 */


#include <broker_fixture.h>
#include <sys/mman.h>


#define ARENA_ZONE   (1024 * 1024)
#define ARENA_MANY   40000
#define ARENA_TURNS  60000


typedef struct {
    uint32_t    offset;
    uint32_t    size;
    uint32_t    mark;
} arena_object_t;


static broker_fixture_t  arena;
static arena_object_t    arena_objects[ARENA_MANY];
static const size_t      arena_sizes[NGX_STOMP_CLASSES] = {
    32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096
};


static uint32_t
arena_alloc(size_t size)
{
    uint32_t  offset;

    ngx_stomp_zone_lock(&arena.zone);
    offset = ngx_stomp_alloc_locked(&arena.zone, size);
    ngx_stomp_zone_unlock(&arena.zone);

    return offset;
}


static void
arena_free(uint32_t offset)
{
    ngx_stomp_zone_lock(&arena.zone);
    ngx_stomp_free_locked(&arena.zone, offset);
    ngx_stomp_zone_unlock(&arena.zone);
}


/*
 * The objects belong to nobody that zone_check() knows: for the time of the
 * check they are as if freed.
 */

static void
arena_check(arena_object_t *objects, ngx_uint_t n)
{
    uint32_t     i, *link, limbo, *saved;
    const char  *error;

    saved = malloc((n + 1) * sizeof(uint32_t));
    limbo = arena.zone.sh->arena.limbo;

    for (i = 0; i < n; i++) {
        link = ngx_stomp_zone_ptr(&arena.zone, objects[i].offset);
        saved[i] = *link;
        *link = arena.zone.sh->arena.limbo;
        arena.zone.sh->arena.limbo = objects[i].offset;
    }

    error = zone_check(&arena.zone);

    for (i = 0; i < n; i++) {
        link = ngx_stomp_zone_ptr(&arena.zone, objects[i].offset);
        *link = saved[i];
    }

    arena.zone.sh->arena.limbo = limbo;
    free(saved);

    if (error) {
        fail_msg("%s", error);
    }
}


static void
arena_empty(void)
{
    arena_check(NULL, 0);
    assert_int_equal(fixture_used(&arena), 0);
    assert_int_equal(arena.zone.sh->arena.nfree, arena.zone.sh->arena.pages);
    arena_check(NULL, 0);
}


static int
arena_setup(void **state)
{
    fixture_reset(&arena);

    return 0;
}


static void
arena_sizes_test(void **state)
{
    size_t      size, used;
    uint32_t    offset;
    ngx_uint_t  class;

    for (size = 0; size <= NGX_STOMP_PAGE_SIZE; size++) {

        for (class = 0; arena_sizes[class] < size; class++) { /* void */ }

        assert_int_equal(ngx_stomp_arena_size(size), arena_sizes[class]);

        offset = arena_alloc(size);
        assert_true(offset != 0);
        assert_int_equal((offset - arena.zone.sh->first_page) % 16, 0);

        ngx_stomp_zone_lock(&arena.zone);
        used = ngx_stomp_arena_used_locked(&arena.zone);
        ngx_stomp_zone_unlock(&arena.zone);

        assert_int_equal(used, arena_sizes[class]);

        arena_free(offset);
    }

    arena_empty();
}


/* each class alone fills the zone to its last page, twice, in two orders */

static void
arena_full_test(void **state)
{
    uint32_t    offset, pages;
    ngx_uint_t  class, i, n, round, in_page;

    pages = arena.zone.sh->arena.pages;

    for (class = 0; class < NGX_STOMP_CLASSES; class++) {

        in_page = NGX_STOMP_PAGE_SIZE / arena_sizes[class];

        for (round = 0; round < 2; round++) {

            for (n = 0; n < ARENA_MANY; n++) {
                offset = arena_alloc(arena_sizes[class]);

                if (offset == 0) {
                    break;
                }

                arena_objects[n].offset = offset;
                memset(ngx_stomp_zone_ptr(&arena.zone, offset), (int) n,
                       arena_sizes[class]);
            }

            assert_int_equal(n, pages * in_page);
            assert_int_equal(arena.zone.sh->arena.nfree, 0);
            arena_check(arena_objects, n);

            for (i = 0; i < n; i++) {
                offset = arena_objects[round ? n - 1 - i : i].offset;

                if (((u_char *) ngx_stomp_zone_ptr(&arena.zone, offset))
                    [arena_sizes[class] - 1]
                    != (u_char) (round ? n - 1 - i : i))
                {
                    fail_msg("object %zu of class %zu was overwritten",
                             (size_t) i, (size_t) class);
                }

                arena_free(offset);
            }

            arena_empty();
        }
    }
}


static void
arena_random_test(void **state)
{
    size_t           size, used;
    u_char          *p;
    uint64_t         random;
    ngx_uint_t       n, i, k, turn;
    arena_object_t  *object;

    random = 1;
    n = 0;
    used = 0;

    for (turn = 0; turn < ARENA_TURNS; turn++) {

        /* waves: it fills up, and is emptied */

        if (fixture_random(&random) % 100 < ((turn / 5000) % 2 ? 30U : 70U)) {
            size = arena_sizes[fixture_random(&random) % NGX_STOMP_CLASSES]
                   - fixture_random(&random) % 16;
            object = &arena_objects[n];
            object->offset = arena_alloc(size);

            if (object->offset == 0) {
                continue;
            }

            object->size = size;
            object->mark = fixture_random(&random);
            memset(ngx_stomp_zone_ptr(&arena.zone, object->offset),
                   (u_char) object->mark, size);
            used += ngx_stomp_arena_size(size);
            n++;

        } else if (n) {
            i = fixture_random(&random) % n;
            object = &arena_objects[i];
            p = ngx_stomp_zone_ptr(&arena.zone, object->offset);

            for (k = 0; k < object->size; k++) {
                if (p[k] != (u_char) object->mark) {
                    fail_msg("object at %u was overwritten", object->offset);
                }
            }

            used -= ngx_stomp_arena_size(object->size);
            arena_free(object->offset);
            *object = arena_objects[--n];
        }

        if (turn % 1000 == 0) {
            arena_check(arena_objects, n);
            assert_int_equal(fixture_used(&arena), used);
        }
    }

    while (n) {
        arena_free(arena_objects[--n].offset);
    }

    arena_empty();
}


/* freed objects are not handed out before the unlock */

static void
arena_limbo_test(void **state)
{
    uint32_t    a, b;
    ngx_uint_t  i;

    a = arena_alloc(100);

    ngx_stomp_zone_lock(&arena.zone);
    ngx_stomp_free_locked(&arena.zone, a);

    for (i = 0; i < 100; i++) {
        b = ngx_stomp_alloc_locked(&arena.zone, 100);
        assert_true(b != 0 && b != a);
    }

    ngx_stomp_zone_rollback(&arena.zone);
    ngx_stomp_zone_unlock(&arena.zone);

    arena_objects[0].offset = a;
    arena_check(arena_objects, 1);

    arena_free(a);
    arena_empty();
}


/* chains of any length are freed at once and come back in slices */

static void
arena_chain_test(void **state)
{
    uint32_t    head, tail, offset, *link;
    ngx_uint_t  i, n, unlocks;

    for (n = 1; n <= 200; n += 33) {

        head = 0;
        tail = 0;

        for (i = 0; i < n; i++) {
            offset = arena_alloc(arena_sizes[i % NGX_STOMP_CLASSES]);
            assert_true(offset != 0);

            if (tail) {
                link = ngx_stomp_zone_ptr(&arena.zone, tail);
                *link = offset;

            } else {
                head = offset;
            }

            tail = offset;
        }

        ngx_stomp_zone_lock(&arena.zone);
        ngx_stomp_free_chain_locked(&arena.zone, head, tail);
        assert_true(arena.zone.sh->undo_count == 2);
        ngx_stomp_zone_unlock(&arena.zone);

        for (unlocks = 1; arena.zone.sh->arena.limbo; unlocks++) {
            arena_check(NULL, 0);
            ngx_stomp_zone_lock(&arena.zone);
            ngx_stomp_zone_unlock(&arena.zone);
        }

        assert_int_equal(unlocks, (n + NGX_STOMP_LIMBO_SLICE - 1)
                                  / NGX_STOMP_LIMBO_SLICE);
        arena_empty();
    }
}


/* a section that is undone leaves no trace, whatever it did */

static void
arena_rollback_test(void **state)
{
    uint64_t    random, section;
    ngx_uint_t  i, n, turn, class;

    random = 2;

    for (n = 0; n < 500; n++) {
        arena_objects[n].offset = arena_alloc(
                     arena_sizes[fixture_random(&random) % NGX_STOMP_CLASSES]);
        assert_true(arena_objects[n].offset != 0);
    }

    for (turn = 0; turn < 200; turn++) {
        section = fixture_random(&random);

        ngx_stomp_zone_lock(&arena.zone);

        for (i = 0; i < 100; i++) {
            if (fixture_random(&section) % 2) {
                class = fixture_random(&section) % NGX_STOMP_CLASSES;
                (void) ngx_stomp_alloc_locked(&arena.zone, arena_sizes[class]);

            } else {
                ngx_stomp_free_locked(&arena.zone, arena_objects[i].offset);
            }
        }

        ngx_stomp_zone_rollback(&arena.zone);
        ngx_stomp_zone_unlock(&arena.zone);

        arena_check(arena_objects, n);
    }

    while (n) {
        arena_free(arena_objects[--n].offset);
    }

    arena_empty();
}


/* offsets of the largest zone don't overflow; the pages stay untouched */

static void
arena_large_test(void **state)
{
    size_t            size;
    u_char           *addr;
    uint32_t          offset, last;
    ngx_uint_t        i;
    ngx_stomp_zone_t  zone;

    size = NGX_STOMP_ZONE_MAX;

    addr = mmap(NULL, size, PROT_READ|PROT_WRITE,
                MAP_ANON|MAP_SHARED|MAP_NORESERVE, -1, 0);

    if (addr == MAP_FAILED) {
        skip();
    }

    ngx_stomp_zone_format(addr, size);
    assert_int_equal(ngx_stomp_zone_open(&zone, addr, &arena.mutex,
                                         ngx_stomp_slot_pid_alive),
                     NGX_OK);

    assert_true((uint64_t) zone.sh->first_page
                + ((uint64_t) zone.sh->arena.pages << NGX_STOMP_PAGE_SHIFT)
                <= size);
    assert_true((uint64_t) zone.sh->first_page
                + ((uint64_t) zone.sh->arena.pages << NGX_STOMP_PAGE_SHIFT)
                > size - NGX_STOMP_PAGE_SIZE);
    assert_true((u_char *) (zone.descriptors + zone.sh->arena.pages)
                <= addr + zone.sh->first_page);
    assert_true((u_char *) (zone.buckets + zone.sh->nbuckets)
                <= (u_char *) zone.descriptors);

    /* all but some pages at the end */

    zone.sh->arena.nfree = 3;
    zone.sh->arena.fresh = zone.sh->arena.pages - 3;
    last = 0;

    ngx_stomp_zone_lock(&zone);

    for (i = 0; i < 3 * 85; i++) {
        offset = ngx_stomp_alloc_locked(&zone, 48);
        assert_true(offset > last);
        last = offset;
        memset(ngx_stomp_zone_ptr(&zone, offset), 1, 48);
    }

    assert_int_equal(ngx_stomp_alloc_locked(&zone, 48), 0);
    assert_true(last + 48 <= size);

    ngx_stomp_zone_unlock(&zone);

    (void) munmap(addr, size);
}


static void
arena_open_test(void **state)
{
    ngx_stomp_zone_t  zone;

    arena.zone.sh->layout++;
    assert_int_equal(ngx_stomp_zone_open(&zone, arena.addr, &arena.mutex,
                                         ngx_stomp_slot_pid_alive),
                     NGX_DECLINED);
    arena.zone.sh->layout--;
    arena.zone.sh->magic++;
    assert_int_equal(ngx_stomp_zone_open(&zone, arena.addr, &arena.mutex,
                                         ngx_stomp_slot_pid_alive),
                     NGX_DECLINED);
}


static int
arena_group_setup(void **state)
{
    fixture_init(&arena, ARENA_ZONE, 1);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(arena_sizes_test, arena_setup),
        cmocka_unit_test_setup(arena_full_test, arena_setup),
        cmocka_unit_test_setup(arena_random_test, arena_setup),
        cmocka_unit_test_setup(arena_limbo_test, arena_setup),
        cmocka_unit_test_setup(arena_chain_test, arena_setup),
        cmocka_unit_test_setup(arena_rollback_test, arena_setup),
        cmocka_unit_test_setup(arena_large_test, arena_setup),
        cmocka_unit_test_setup(arena_open_test, arena_setup),
    };

    return cmocka_run_group_tests_name("arena", tests, arena_group_setup,
                                       NULL);
}
