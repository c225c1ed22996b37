/* A table of slots, and a queue of those that are free. */
#include "source/module_handles.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

#define FIRST_SLOTS 256
#define MOST_SLOTS  ((size_t)HANDLE_SPARE_BIT)
#define NO_SLOT     SIZE_MAX

struct handle_slot {
    void *object;  /* while LIVE */
    uint32_t uses; /* so far; at UINT32_MAX the slot is not used again */
    enum handle_state state;
    enum handle_kind kind;
    size_t next_free; /* or NO_SLOT */
    char source[HANDLE_NAME_ROOM], fragment[HANDLE_NAME_ROOM];
};

static void add_free(struct handles *handles, size_t index)
{
    handles->slots[index].next_free = NO_SLOT;
    if (handles->free_count++ == 0)
        handles->first_free = index;
    else
        handles->slots[handles->last_free].next_free = index;
    handles->last_free = index;
}

static size_t take_free(struct handles *handles)
{
    size_t index = handles->first_free;
    handles->first_free = handles->slots[index].next_free;
    handles->free_count--;
    return index;
}

/* Returns false when out of memory. */
static bool grow(struct handles *handles)
{
    size_t count = handles->count > 0 ? handles->count * 2 : FIRST_SLOTS;
    if (count > MOST_SLOTS)
        return false;
    struct handle_slot *slots = alloc_resized(handles->slots, count * sizeof *slots);
    if (!slots)
        return false;
    memset(slots + handles->count, 0, (count - handles->count) * sizeof *slots);
    handles->slots = slots;
    while (handles->count < count)
        add_free(handles, handles->count++);
    return true;
}

static void copy_name(char room[HANDLE_NAME_ROOM], struct slice name)
{
    size_t len = slice_move(&name, room, HANDLE_NAME_ROOM - 1);
    room[len] = '\0';
}

uint64_t handles_add(struct handles *handles, enum handle_kind kind, void *object,
                     struct slice source, struct slice fragment)
{
    if (handles->free_count <= HANDLES_REMEMBERED && !grow(handles))
        return 0;
    size_t index = take_free(handles);
    struct handle_slot *slot = &handles->slots[index];
    slot->object = object;
    slot->uses++;
    slot->state = HANDLE_LIVE;
    slot->kind = kind;
    copy_name(slot->source, source);
    copy_name(slot->fragment, fragment);
    return (uint64_t)slot->uses << 32 | index;
}

/* Whether the slot has been used for a later handle. */
static bool is_forgotten(const struct handles *handles, uint64_t handle)
{
    size_t index = (size_t)(handle & UINT32_MAX);
    return index < handles->count && handle >> 32 > 0 && handle >> 32 < handles->slots[index].uses;
}

/* Returns NULL if the slot does not remember that handle. */
static struct handle_slot *slot_of(const struct handles *handles, uint64_t handle)
{
    size_t index = (size_t)(handle & UINT32_MAX);
    struct handle_slot *slot = index < handles->count ? &handles->slots[index] : NULL;
    return slot && slot->uses > 0 && slot->uses == handle >> 32 ? slot : NULL;
}

void *handles_find(const struct handles *handles, enum handle_kind kind, uint64_t handle)
{
    const struct handle_slot *slot = slot_of(handles, handle);
    return slot && slot->state == HANDLE_LIVE && slot->kind == kind ? slot->object : NULL;
}

void handles_end(struct handles *handles, uint64_t handle, enum handle_state state)
{
    struct handle_slot *slot = slot_of(handles, handle);
    check(slot && slot->state == HANDLE_LIVE && state > HANDLE_LIVE);
    slot->state = state;
    slot->object = NULL;
    if (slot->uses < UINT32_MAX)
        add_free(handles, (size_t)(slot - handles->slots));
}

struct handle_view handles_look(const struct handles *handles, uint64_t handle)
{
    const struct handle_slot *slot = slot_of(handles, handle);
    if (!slot)
        return (struct handle_view){.state = is_forgotten(handles, handle) ? HANDLE_FORGOTTEN
                                                                           : HANDLE_UNKNOWN,
                                    .source = "",
                                    .fragment = ""};
    return (struct handle_view){.state = slot->state,
                                .kind = slot->kind,
                                .source = slot->source,
                                .fragment = slot->fragment};
}

void handles_free(struct handles *handles)
{
    for (size_t i = 0; i < handles->count; i++)
        check(handles->slots[i].state != HANDLE_LIVE);
    free(handles->slots);
    *handles = (struct handles){0};
}
