/* A fragment is written as a sequence of chunks, which point into its name, its body or a literal.
 * So nothing has to be assembled, and writing can stop at any byte. */
#include "web/event.h"

#include "base/byte.h"

/* It stays in the page after the browser has used the template, so that <page-fragment> sees that
 * the fragment failed. */
#define FAILED_MARK "<!--failed-->"

enum step {
    STEP_DONE,
    STEP_START,
    STEP_NAME,
    STEP_KIND,
    STEP_LINE_START, /* before each line of data */
    STEP_LINE,
    STEP_BODY,
    STEP_LAST,
};

bool event_name_valid(struct slice name)
{
    struct slice error = SLICE(":error");
    return !slice_equal(name, SLICE("end")) &&
           !(name.len >= error.len && slice_equal(slice_from(name, name.len - error.len), error));
}

void event_begin(struct event *event, enum event_form form, struct slice name, bool failed,
                 struct slice body)
{
    *event = (struct event){
        .form = (unsigned char)form,
        .name = name,
        .body = body,
        .failed = failed,
        .step = STEP_START,
    };
}

/* Removes the bytes before `end` from *rest. */
static struct slice take_until(struct slice *rest, size_t end)
{
    struct slice span = {.data = rest->data, .len = end};
    *rest = slice_from(*rest, end);
    return span;
}

/* Removes the rest of the line, but no more than `room` bytes of it, so the work of one turn is
 * limited, however long the line is. */
static struct slice take_line(struct slice *rest, size_t room)
{
    size_t most = rest->len < room ? rest->len : room;
    const char *end = most > 0 ? memchr(rest->data, '\n', most) : NULL;
    if (end)
        most = (size_t)(end - rest->data);
    end = most > 0 ? memchr(rest->data, '\r', most) : NULL;
    return take_until(rest, end ? (size_t)(end - rest->data) : most);
}

/* Skips the end of a line: CR, LF or both. Returns false if that was the last line. */
static bool take_line_end(struct slice *rest)
{
    if (rest->len == 0)
        return false;
    bool both = rest->len > 1 && rest->data[0] == '\r' && rest->data[1] == '\n';
    *rest = slice_from(*rest, both ? 2 : 1);
    return true;
}

static bool at_line_end(struct slice rest)
{
    return rest.len == 0 || rest.data[0] == '\r' || rest.data[0] == '\n';
}

static enum step next_of_stream(struct event *event, size_t room)
{
    switch ((enum step)event->step) {
    case STEP_START:
        event->chunk = SLICE("event: ");
        return STEP_NAME;
    case STEP_NAME:
        event->chunk = event->name;
        return STEP_KIND;
    case STEP_KIND:
        event->chunk = event->failed ? SLICE(":error") : SLICE("");
        return STEP_LINE_START;
    case STEP_LINE_START:
        event->chunk = SLICE("\ndata: ");
        return STEP_LINE;
    case STEP_LINE:
        event->chunk = take_line(&event->body, room);
        if (!at_line_end(event->body))
            return STEP_LINE;
        return take_line_end(&event->body) ? STEP_LINE_START : STEP_LAST;
    default:
        event->chunk = SLICE("\n\n");
        return STEP_DONE;
    }
}

/* Sets the next chunk of the name, escaped as the value of an attribute. */
static struct slice take_escaped(struct slice *name)
{
    size_t plain = 0;
    while (plain < name->len && !byte_is_one_of(name->data[plain], "&<>\""))
        plain++;
    if (plain > 0)
        return take_until(name, plain);
    char byte = name->data[0];
    *name = slice_from(*name, 1);
    return byte == '&'   ? SLICE("&amp;")
           : byte == '<' ? SLICE("&lt;")
           : byte == '>' ? SLICE("&gt;")
                         : SLICE("&quot;");
}

static enum step next_of_templates(struct event *event)
{
    switch ((enum step)event->step) {
    case STEP_START:
        event->chunk = SLICE("<template for=\"");
        return STEP_NAME;
    case STEP_NAME:
        event->chunk = take_escaped(&event->name);
        return event->name.len > 0 ? STEP_NAME : STEP_KIND;
    case STEP_KIND:
        event->chunk = event->failed ? SLICE("\" data-failed>" FAILED_MARK) : SLICE("\">");
        return STEP_BODY;
    case STEP_BODY:
        event->chunk = event->body;
        return STEP_LAST;
    default:
        event->chunk = SLICE("</template>\n");
        return STEP_DONE;
    }
}

static enum step next_in_place(struct event *event)
{
    if (event->step == STEP_START) {
        event->chunk = event->failed ? SLICE(FAILED_MARK) : SLICE("");
        return STEP_BODY;
    }
    event->chunk = event->body;
    return STEP_DONE;
}

static enum step next_of(struct event *event, size_t room)
{
    switch ((enum event_form)event->form) {
    case EVENT_STREAM:
        return next_of_stream(event, room);
    case EVENT_TEMPLATES:
        return next_of_templates(event);
    default:
        return next_in_place(event);
    }
}

size_t event_write(struct event *event, char *out, size_t room)
{
    size_t len = 0;
    while (len < room && event_unfinished(event)) {
        if (event->chunk.len == 0)
            event->step = (unsigned char)next_of(event, room - len);
        len += slice_move(&event->chunk, out + len, room - len);
    }
    return len;
}

bool event_unfinished(const struct event *event)
{
    return event->step != STEP_DONE || event->chunk.len > 0;
}

struct slice event_heartbeat(enum event_form form)
{
    return form == EVENT_STREAM      ? SLICE(":\n\n")
           : form == EVENT_TEMPLATES ? SLICE("\n")
                                     : SLICE("<!---->");
}

struct slice event_cut(enum event_form form)
{
    return form == EVENT_STREAM ? SLICE("retry: 100\nevent: /again\n\n") : SLICE("");
}

struct slice event_end(enum event_form form)
{
    return form == EVENT_STREAM ? SLICE("event: end\ndata:\n\n") : SLICE("");
}
