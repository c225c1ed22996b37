/* Both prefixes share the bytes of lease:{NAMESPACE: */
#include "cache/names.h"

#include <stdio.h>

void names_init(struct names *names, const char *name_space)
{
    snprintf(names->text, sizeof names->text, "lease:{%.*s:", NAMES_NAMESPACE_MAX, name_space);
    names->lease_start = names->text;
    names->value_start = names->text + sizeof "lease:{" - 1;
}

bool names_read(const struct names *names, struct slice name, struct slice *key, bool *is_lease)
{
    struct slice value_start = slice_of(names->value_start);
    struct slice lease_start = slice_of(names->lease_start);
    *is_lease = !slice_starts(name, value_start);
    if (!*is_lease) {
        *key = slice_from(name, value_start.len);
        return true;
    }
    if (!slice_starts(name, lease_start) || name.data[name.len - 1] != '}')
        return false;
    *key = slice_from(name, lease_start.len);
    key->len--;
    return true;
}
