/* The counters as text, for clients that may see them. */
#include "web/counters.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/counters.h"
#include "cache/entry.h"
#include "web/client_list.h"
#include "web/endpoint.h"

#define LINE_MAX 64 /* bytes: the name, a space, 20 digits, the end of the line */

#define FITS(constant, name, type, family, label, help)                                            \
    _Static_assert(sizeof(name) + 22 <= LINE_MAX, "a counter's name is too long for its line");
COUNTER_TABLE(FITS)

/* Writes the lines and returns their length. `text` has room for all lines and a zero byte. */
static size_t write_lines(char *text)
{
    size_t len = 0;
    for (size_t i = 0; i < COUNTERS; i++)
        len += (size_t)snprintf(text + len, LINE_MAX, "%s %" PRIu64 "\n", counter_rows[i].name,
                                counter_values[i]);
    return len;
}

/* The text is in an entry, which exists until it is sent, while the counters change. It is sent
 * even if max_unsent is reached: it is small, and shows whether that is the case. */
enum answer_kind counters_start(struct service *service, const struct visit *visit,
                                const struct waiter_address *who, union answer *answer)
{
    char text[COUNTERS * LINE_MAX];
    (void)who;
    if (!client_list_has(service->status, visit->request->remote_addr))
        return endpoint_fail(service, visit, 403, answer);
    struct slice body = {.data = text, .len = write_lines(text)};
    struct entry *entry = entry_new(SLICE("text/plain; charset=utf-8"), body, 0, 0, 0);
    if (!entry)
        return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
    response_set_entry(&answer->response, entry);
    entry_unref(entry);
    answer->response.no_store = true;
    answer->response.head_only = visit->method == METHOD_HEAD;
    return ANSWER_RESPONSE;
}
