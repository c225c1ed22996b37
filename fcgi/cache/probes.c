/* The commands that an ACL must permit. They are tried on the keys of a fragment with an empty
 * name, which can't exist. SET with XX does not create a missing key. */
#include "cache/probes.h"

#include <stdio.h>
#include <string.h>

void probes_init(struct probes *probes, const char *value_start, const char *lease_start,
                 size_t value_max)
{
    const char *value = value_start, *lease = probes->lease;
    const struct redis_probe list[PROBES] = {
        {{"GETRANGE", value, "0", "0"}, false},
        {{"STRLEN", value}, false},
        {{"PTTL", value}, false},
        {{"SET", lease, "", "XX"}, false},
        {{"DEL", lease}, false},
        {{"GET", lease}, true},
        {{"PEXPIRE", lease, "1"}, true},
        {{"EVALSHA", "0000000000000000000000000000000000000000", "0"}, true},
    };
    snprintf(probes->lease, sizeof probes->lease, "%s}", lease_start);
    memcpy(probes->list, list, sizeof list);
    probes->needs = (struct redis_needs){
        .prefixes = {value_start, lease_start},
        .value_max = value_max,
        .probes = probes->list,
        .probe_count = PROBES,
    };
}
