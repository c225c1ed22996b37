/* Each part is a list of rows. The memory is mapped before the processes are forked, so pointers in it
 * are valid in all of them. A row is complete before it is put into the list, and stays there.
 *
 * A worker that has been taken over can write anything there, and the supervisor, which is in no
 * sandbox, looks into it. So a row of a shared part counts only if it is within that part, behind
 * the row before it, and with room for what it says to have. */
#include "base/figures.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#define ALIGNMENT  64 /* bytes: a line of the processor's cache */
#define PARTS_SIZE 4096

struct row {
    struct row *_Atomic next;
    enum figures_kind kind;
    size_t size;                /* the name is behind the numbers */
    alignas(16) char numbers[]; /* `size` bytes */
};

struct part { /* rows follow it, so its size is a multiple of their alignment */
    alignas(ALIGNMENT) struct row *_Atomic first;
    struct row *last;  /* only for the process that writes */
    size_t used, room; /* bytes after the struct; the same */
    unsigned joined;   /* processes so far */
};

static struct {
    char *memory;    /* the shared parts; NULL: none */
    size_t distance; /* of the parts, in bytes */
    unsigned count;
    double since;
    pid_t leader;
} shared;

/* A part, and where this process' last search in it ended. */
struct view {
    struct part *part;
    const struct row *at;
};

static struct part ordinary, left_over;
static struct view alone = {.part = &ordinary};     /* before figures_join, or without workers */
static struct view overflow = {.part = &left_over}; /* what finds no room in the shared part */
static struct view *views;                          /* of the shared parts */
static struct view *mine = &alone;

static struct view *view_of(unsigned part)
{
    return shared.memory ? &views[part] : &alone;
}

static bool is_shared(const struct part *part)
{
    return part != &ordinary && part != &left_over;
}

/* Bytes of the part behind that address. */
static size_t rest_of(const struct part *part, const void *at)
{
    return is_shared(part) ? (size_t)((const char *)part + shared.distance - (const char *)at)
                           : SIZE_MAX;
}

/* Returns the row if it can be one of the part and come after `before`, which may be NULL; else
 * NULL. */
static struct row *checked(const struct part *part, const struct row *before, struct row *row)
{
    uintptr_t first = (uintptr_t)(part + 1), at = (uintptr_t)row;
    if (!is_shared(part) || !row)
        return row;
    return at >= first && at - first <= shared.distance - sizeof *part - sizeof *row &&
                   (at - first) % ALIGNMENT == 0 && (!before || at > (uintptr_t)before)
               ? row
               : NULL;
}

static struct row *first_of(const struct part *part)
{
    return checked(part, NULL, atomic_load_explicit(&part->first, memory_order_acquire));
}

static struct row *next_of(const struct part *part, const struct row *row)
{
    return checked(part, row, atomic_load_explicit(&row->next, memory_order_acquire));
}

static bool is_row(const struct part *part, const struct row *row, enum figures_kind kind,
                   const char *name)
{
    size_t size = row->size, rest = rest_of(part, row->numbers), name_size = strlen(name) + 1;
    return row->kind == kind && size <= rest && name_size <= rest - size &&
           memcmp(row->numbers + size, name, name_size) == 0;
}

bool figures_share(unsigned workers, size_t bytes)
{
    size_t distance = (sizeof(struct part) + bytes + PARTS_SIZE - 1) / PARTS_SIZE * PARTS_SIZE;
    unsigned parts = workers + 1;
    check(!shared.memory && workers > 0);
    views = alloc_zeroed(parts * sizeof(struct view));
    /* one more: whoever takes a row for larger than it says to be does not get beyond the memory */
    void *memory = views ? mmap(NULL, (parts + 1) * distance, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                         : MAP_FAILED;
    if (memory == MAP_FAILED) {
        free(views);
        views = NULL;
        return false;
    }
    shared.memory = memory;
    shared.distance = distance;
    shared.count = parts;
    shared.since = clock_monotonic();
    shared.leader = getpid();
    for (unsigned i = 0; i < parts; i++) {
        views[i].part = (struct part *)(void *)(shared.memory + i * distance);
        views[i].part->room = distance - sizeof(struct part);
    }
    mine = &views[workers];
    return true;
}

void figures_join(unsigned worker)
{
    check(worker < figures_workers());
    mine = &views[worker];
    mine->part->joined++;
    for (struct row *row = first_of(mine->part); row; row = next_of(mine->part, row))
        mine->part->last = row;
}

bool figures_are_shared(void)
{
    return shared.memory != NULL;
}

unsigned figures_parts(void)
{
    return shared.memory ? shared.count : 1;
}

unsigned figures_workers(void)
{
    return shared.memory ? shared.count - 1 : 0;
}

unsigned figures_joined(unsigned part)
{
    return view_of(part)->part->joined;
}

pid_t figures_leader(void)
{
    return shared.memory ? shared.leader : getpid();
}

double figures_since(void)
{
    return shared.since;
}

/* Rows are usually looked for in the order in which they were made, so it begins where the last
 * search of the part ended. */
static struct row *find(struct view *view, enum figures_kind kind, const char *name)
{
    struct row *row = view->at ? next_of(view->part, view->at) : NULL;
    while (row && !is_row(view->part, row, kind, name))
        row = next_of(view->part, row);
    if (!row) {
        row = first_of(view->part);
        while (row && !is_row(view->part, row, kind, name))
            row = next_of(view->part, row);
    }
    if (row)
        view->at = row;
    return row;
}

static struct row *find_with_overflow(struct view *view, enum figures_kind kind, const char *name)
{
    struct row *row = find(view, kind, name);
    return row || view != mine ? row : find(&overflow, kind, name);
}

/* Memory for a row, all zero, and the part that it belongs to. */
static struct row *row_room(size_t bytes, struct part **part)
{
    static bool warned;
    *part = mine->part;
    if (mine == &alone)
        return alloc_zeroed(bytes);
    if (bytes <= (*part)->room - (*part)->used) {
        void *row = (char *)(*part + 1) + (*part)->used;
        (*part)->used += bytes; /* first: if we die now, the next process does not use it again */
        return memset(row, 0, bytes);
    }
    if (!warned)
        log_warning("main", "no room for the figures of more routes and sources: the sums of all "
                            "workers lack those of this one; restart to make room");
    warned = true;
    *part = overflow.part;
    return alloc_zeroed(bytes);
}

void *figures_row(enum figures_kind kind, const char *name, size_t size)
{
    struct part *part;
    struct row *row = find_with_overflow(mine, kind, name);
    if (row) {
        check(row->size == size);
        return row->numbers;
    }
    size_t name_size = strlen(name) + 1, bytes = sizeof(struct row) + size + name_size;
    row = row_room((bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, &part);
    if (!row)
        return NULL;
    row->kind = kind;
    row->size = size;
    memcpy(row->numbers + size, name, name_size);
    if (part->last)
        atomic_store_explicit(&part->last->next, row, memory_order_release);
    else
        atomic_store_explicit(&part->first, row, memory_order_release);
    part->last = row;
    return row->numbers;
}

const void *figures_of(unsigned part, enum figures_kind kind, const char *name)
{
    const struct row *row = find_with_overflow(view_of(part), kind, name);
    return row ? row->numbers : NULL;
}

void figures_end(unsigned worker)
{
    const struct part *part = view_of(worker)->part;
    for (struct row *row = first_of(part); row; row = next_of(part, row)) {
        size_t size = row->size;
        if (row->kind >= FIGURES_NOW && size <= rest_of(part, row->numbers))
            memset(row->numbers, 0, size);
    }
}
