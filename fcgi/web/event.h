/* One fragment in a streamed response, written piece by piece. Pure.
 *
 * It is either a server-sent event (HTML Standard 9.2), whose name is the fragment's (followed by
 * ":error" if the fragment failed) and whose data is the HTML; or a template for the element of
 * that name, <template for="NAME">HTML</template>.
 */
#ifndef WORKERLESS_WEB_EVENT_H
#define WORKERLESS_WEB_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum event_form { EVENT_STREAM, EVENT_TEMPLATES };

struct event {          /* all zero: nothing to write */
    struct slice chunk; /* copied next */
    struct slice name, body;
    unsigned char form, step;
    bool failed;
};

/* Whether a fragment of this name can be streamed. "end" and "NAME:error" are taken by other
 * events. */
bool event_name_valid(struct slice name);

/* Name and body are borrowed until the last byte is written. The name must not contain control
 * characters. */
void event_begin(struct event *event, enum event_form form, struct slice name, bool failed,
                 struct slice body);

/* Copies the next bytes, up to `room`, to `out`. Returns how many; 0: it is complete. */
size_t event_write(struct event *event, char *out, size_t room);

/* Whether bytes are left to write. */
bool event_unfinished(const struct event *event);

/* What to send to keep a quiet connection open, and to end a stream. The end may be empty. */
struct slice event_heartbeat(enum event_form form);
struct slice event_end(enum event_form form);

#endif
