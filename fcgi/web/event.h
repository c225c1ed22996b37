/* One fragment in a streamed response, written in pieces. Pure.
 *
 *     EVENT_STREAM      a server-sent event (HTML Standard 9.2): its name is the fragment's,
 *                       followed by ":error" if that failed, and its data is the HTML
 *     EVENT_TEMPLATES   <template for="NAME">HTML</template>, for the placeholder of that name
 *     EVENT_IN_PLACE    the HTML alone, which replaces the placeholder in a page
 *
 * In the last two, the HTML of a fragment that failed begins with <!--failed-->.
 */
#ifndef WORKERLESS_WEB_EVENT_H
#define WORKERLESS_WEB_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum event_form { EVENT_STREAM, EVENT_TEMPLATES, EVENT_IN_PLACE };

struct event {          /* all zero: nothing to write */
    struct slice chunk; /* copied next */
    struct slice name, body;
    unsigned char form, step;
    bool failed;
};

/* Whether a fragment of this name can be streamed. "end" and "NAME:error" are names of other
 * events. */
bool event_name_valid(struct slice name);

/* Name and body are borrowed until the last byte is written. The name must not contain control
 * characters. */
void event_begin(struct event *event, enum event_form form, struct slice name, bool failed,
                 struct slice body);

/* Copies up to `room` of the next bytes to `out`. Returns their number; 0: it is complete. */
size_t event_write(struct event *event, char *out, size_t room);

/* Whether bytes are left to write. */
bool event_unfinished(const struct event *event);

/* The bytes that keep an idle connection open, and those that end a stream, which may be none. */
struct slice event_heartbeat(enum event_form form);
struct slice event_end(enum event_form form);

/* The bytes that end a stream of which fragments are missing, so that the client requests it again.
 * EventSource connects again as soon as `retry` says (HTML Standard 9.2.6); it tells nobody of the
 * event, since that has no data. <page-fragment> requests what is missing after any event that does
 * not end a stream; this one has a name that no fragment can have. */
struct slice event_cut(enum event_form form);

#endif
