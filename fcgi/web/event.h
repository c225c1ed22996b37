/* One fragment as a part of a streamed response: its bytes, piece by piece. Pure.
 *
 * As a server-sent event (HTML Standard 9.2): the event's name is that of the fragment, with
 * ":error" behind it for a failure, and its data is the HTML. Or as a template that is for the
 * element of that name, <template for="NAME">HTML</template>.
 */
#ifndef WORKERLESS_WEB_EVENT_H
#define WORKERLESS_WEB_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum event_form { EVENT_STREAM, EVENT_TEMPLATES };

struct event {          /* all zero: there is nothing to write */
    struct slice chunk; /* to be copied next */
    struct slice name, body;
    unsigned char form, step;
    bool failed;
};

/* Whether a fragment may have an event: its name is not that of another event. */
bool event_name_valid(struct slice name);

/* Name and body are borrowed until the last byte is written. The name has no control characters. */
void event_begin(struct event *event, enum event_form form, struct slice name, bool failed,
                 struct slice body);

/* Copies the next bytes, `room` at the most, to `out`. Returns how many; 0: that was all. */
size_t event_write(struct event *event, char *out, size_t room);

/* Whether there are bytes left. */
bool event_unfinished(const struct event *event);

/* What says that the connection is alive, and what says that nothing more comes; the latter may be
 * empty. */
struct slice event_heartbeat(enum event_form form);
struct slice event_end(enum event_form form);

#endif
