/* A table of one place for each hash. The hash has a secret, so nobody can make up keys that share
 * a place. */
#include "cache/unstored.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/table.h"

static uint64_t hash_of(struct slice key)
{
    uint64_t hash = table_hash(key.data ? key.data : "", key.len);
    return hash ? hash : 1;
}

void unstored_note(struct unstored_table *table, struct slice key, struct slice why, double now)
{
    if (!table->places)
        table->places = alloc_zeroed(UNSTORED_PLACES * sizeof *table->places);
    if (!table->places)
        return;
    uint64_t hash = hash_of(key);
    struct unstored *place = &table->places[hash % UNSTORED_PLACES];
    place->hash = hash;
    place->at = now;
    place->why[slice_move(&why, place->why, UNSTORED_WHY_MAX)] = '\0';
}

const struct unstored *unstored_find(const struct unstored_table *table, struct slice key)
{
    uint64_t hash = hash_of(key);
    const struct unstored *place = table->places ? &table->places[hash % UNSTORED_PLACES] : NULL;
    return place && place->hash == hash ? place : NULL;
}

void unstored_free(struct unstored_table *table)
{
    free(table->places);
    table->places = NULL;
}
