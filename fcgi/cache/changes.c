/* The counters of changes. */
#include "cache/changes.h"

#include "base/table.h"

static unsigned counter_of(struct slice key)
{
    return table_hash(key.data, key.len) % CHANGES_COUNTERS;
}

uint32_t changes_count(const struct changes *changes, struct slice key)
{
    return changes->of_keys[counter_of(key)] + changes->of_all;
}

void changes_note(struct changes *changes, struct slice key)
{
    changes->of_keys[counter_of(key)]++;
}

void changes_note_all(struct changes *changes)
{
    changes->of_all++;
}
