/* web/event: one fragment as an event or a template, whatever the room; read again as a browser
 * would. */
#include "web/event.h"

#include "unit.h"

/* How the rooms are. */
#define ROOM_WAYS 12

static size_t next_room(unsigned way)
{
    return way == 0 ? 1 << 20 : way == 1 ? 1 : 1 + unit_random(way < 6 ? 4 : 40);
}

/* Writes the event in rooms of such sizes. Each room is a block of its own, and is filled unless it
 * is the last one. */
static void write_event(struct event *event, unsigned way, struct buffer *out)
{
    while (event_unfinished(event)) {
        size_t room = next_room(way);
        char *piece = malloc(room);
        assert_non_null(piece);
        size_t len = event_write(event, piece, room);
        assert_true(len > 0 && len <= room);
        assert_true(len == room || !event_unfinished(event));
        unit_append(out, piece, len);
        free(piece);
    }
    char none;
    assert_int_equal(event_write(event, &none, 1), 0);
}

static void written(enum event_form form, struct slice name, bool failed, struct slice body,
                    unsigned way, struct buffer *out)
{
    struct slice exact_name = unit_exact(name), exact_body = unit_exact(body);
    struct event event;
    event_begin(&event, form, exact_name, failed, exact_body);
    write_event(&event, way, out);
    unit_drop(exact_name);
    unit_drop(exact_body);
}

/* --- a reader of server-sent events (HTML Standard 9.2.6) --- */

struct seen {
    struct buffer type, data; /* of the latest event */
    bool has_data;            /* of the one that is being read */
    unsigned events;
};

static struct slice take_line(struct slice *rest)
{
    struct slice line = {.data = rest->data};
    while (line.len < rest->len && line.data[line.len] != '\n' && line.data[line.len] != '\r')
        line.len++;
    assert_true(line.len < rest->len); /* what is written ends with a line's end */
    size_t end = line.len + 1;
    if (line.data[line.len] == '\r' && end < rest->len && line.data[end] == '\n')
        end++;
    *rest = slice_from(*rest, end);
    return line;
}

static void see_field(struct seen *seen, struct slice line)
{
    const char *colon = memchr(line.data, ':', line.len);
    struct slice name = {.data = line.data, .len = colon ? (size_t)(colon - line.data) : line.len};
    struct slice value = slice_from(line, colon ? name.len + 1 : name.len);
    if (slice_starts(value, SLICE(" ")))
        value = slice_from(value, 1);
    if (slice_equal(name, SLICE("event"))) {
        seen->type.len = 0;
        unit_append(&seen->type, value.data, value.len);
    } else if (slice_equal(name, SLICE("data"))) {
        if (seen->has_data)
            unit_append(&seen->data, "\n", 1);
        else
            seen->data.len = 0;
        unit_append(&seen->data, value.data, value.len);
        seen->has_data = true;
    } else if (slice_equal(name, SLICE("retry"))) {
        assert_true(value.len > 0);
    } else {
        assert_int_equal(name.len, 0); /* a comment */
    }
}

static void see(struct slice text, struct seen *seen)
{
    while (text.len > 0) {
        struct slice line = take_line(&text);
        if (line.len > 0) {
            see_field(seen, line);
        } else if (seen->has_data) {
            seen->events++;
            seen->has_data = false;
        } else {
            seen->type.len = 0; /* nobody is told of it */
        }
    }
}

static void seen_free(struct seen *seen)
{
    buffer_free(&seen->type);
    buffer_free(&seen->data);
}

/* As the reader gives it back: each line's end is LF. */
static void normalise(struct slice body, struct buffer *out)
{
    for (size_t i = 0; i < body.len; i++) {
        bool crlf = body.data[i] == '\r' && i + 1 < body.len && body.data[i + 1] == '\n';
        if (!crlf)
            unit_append(out, body.data[i] == '\r' ? "\n" : &body.data[i], 1);
    }
}

/* --- tests --- */

static void test_events(void **state)
{
    static const struct {
        const char *name;
        bool failed;
        struct slice body, text;
    } cases[] = {
        {"a", false, SLICE_INIT("<p>x</p>"), SLICE_INIT("event: a\ndata: <p>x</p>\n\n")},
        {"a", true, SLICE_INIT("<p>x</p>"), SLICE_INIT("event: a:error\ndata: <p>x</p>\n\n")},
        {"a", false, SLICE_INIT(""), SLICE_INIT("event: a\ndata: \n\n")},
        {"a", true, SLICE_INIT(""), SLICE_INIT("event: a:error\ndata: \n\n")},
        {"a", false, SLICE_INIT("x\ny"), SLICE_INIT("event: a\ndata: x\ndata: y\n\n")},
        {"a", false, SLICE_INIT("x\ry"), SLICE_INIT("event: a\ndata: x\ndata: y\n\n")},
        {"a", false, SLICE_INIT("x\r\ny"), SLICE_INIT("event: a\ndata: x\ndata: y\n\n")},
        {"a", false, SLICE_INIT("x\n\ry"), SLICE_INIT("event: a\ndata: x\ndata: \ndata: y\n\n")},
        {"a", false, SLICE_INIT("x\r\r\ny"), SLICE_INIT("event: a\ndata: x\ndata: \ndata: y\n\n")},
        {"a", false, SLICE_INIT("x\n"), SLICE_INIT("event: a\ndata: x\ndata: \n\n")},
        {"a", false, SLICE_INIT("x\r"), SLICE_INIT("event: a\ndata: x\ndata: \n\n")},
        {"a", false, SLICE_INIT("x\r\n"), SLICE_INIT("event: a\ndata: x\ndata: \n\n")},
        {"a", false, SLICE_INIT("\n"), SLICE_INIT("event: a\ndata: \ndata: \n\n")},
        {"a", false, SLICE_INIT("\n\nx"), SLICE_INIT("event: a\ndata: \ndata: \ndata: x\n\n")},
        /* what looks like the framing is none */
        {"a", false, SLICE_INIT("x\n\nevent: b\ndata: y\n\n"),
         SLICE_INIT(
             "event: a\ndata: x\ndata: \ndata: event: b\ndata: data: y\ndata: \ndata: \n\n")},
        {"a", false, SLICE_INIT("  x:\n :"), SLICE_INIT("event: a\ndata:   x:\ndata:  :\n\n")},
        /* only CR and LF end a line */
        {"a", false, SLICE_INIT("x\0y\v\f\x85\xe2\x80\xa8z"),
         SLICE_INIT("event: a\ndata: x\0y\v\f\x85\xe2\x80\xa8z\n\n")},
        {"user/7 \xc3\xa9", false, SLICE_INIT("x"),
         SLICE_INIT("event: user/7 \xc3\xa9\ndata: x\n\n")},
        {" a", false, SLICE_INIT("x"), SLICE_INIT("event:  a\ndata: x\n\n")},
        {"a:b", true, SLICE_INIT("x"), SLICE_INIT("event: a:b:error\ndata: x\n\n")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * ROOM_WAYS; i++) {
        size_t row = i / ROOM_WAYS;
        struct buffer out = {0}, normal = {0}, type = {0};
        struct seen seen = {0};
        written(EVENT_STREAM, slice_of(cases[row].name), cases[row].failed, cases[row].body,
                (unsigned)(i % ROOM_WAYS), &out);
        assert_slice(row, buffer_slice(&out), cases[row].text);

        see(buffer_slice(&out), &seen);
        normalise(cases[row].body, &normal);
        unit_append(&type, cases[row].name, strlen(cases[row].name));
        if (cases[row].failed)
            unit_append(&type, ":error", 6);
        assert_row(row, seen.events == 1);
        assert_slice(row, buffer_slice(&seen.type), buffer_slice(&type));
        assert_slice(row, buffer_slice(&seen.data), buffer_slice(&normal));
        buffer_free(&out);
        buffer_free(&normal);
        buffer_free(&type);
        seen_free(&seen);
    }
}

static void test_templates(void **state)
{
    static const struct {
        const char *name;
        bool failed;
        struct slice body, text;
    } cases[] = {
        {"a", false, SLICE_INIT("<p>x</p>"),
         SLICE_INIT("<template for=\"a\"><p>x</p></template>\n")},
        {"a", true, SLICE_INIT("<p>x</p>"),
         SLICE_INIT("<template for=\"a\" data-failed><!--failed--><p>x</p></template>\n")},
        {"a", false, SLICE_INIT(""), SLICE_INIT("<template for=\"a\"></template>\n")},
        {"a", false, SLICE_INIT("x\r\ny\rz\n\0"),
         SLICE_INIT("<template for=\"a\">x\r\ny\rz\n\0</template>\n")},
        {"\"", false, SLICE_INIT("x"), SLICE_INIT("<template for=\"&quot;\">x</template>\n")},
        {"<a>&\"b\"", true, SLICE_INIT("x"),
         SLICE_INIT("<template for=\"&lt;a&gt;&amp;&quot;b&quot;\" "
                    "data-failed><!--failed-->x</template>\n")},
        {"a&b", false, SLICE_INIT("&"), SLICE_INIT("<template for=\"a&amp;b\">&</template>\n")},
        {"&&amp;", false, SLICE_INIT("x"),
         SLICE_INIT("<template for=\"&amp;&amp;amp;\">x</template>\n")},
        {"'user/7' \xc3\xa9", false, SLICE_INIT("x"),
         SLICE_INIT("<template for=\"'user/7' \xc3\xa9\">x</template>\n")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * ROOM_WAYS; i++) {
        size_t row = i / ROOM_WAYS;
        struct buffer out = {0};
        written(EVENT_TEMPLATES, slice_of(cases[row].name), cases[row].failed, cases[row].body,
                (unsigned)(i % ROOM_WAYS), &out);
        assert_slice(row, buffer_slice(&out), cases[row].text);
        buffer_free(&out);
    }
}

/* Bodies at random, of the bytes that matter most. */
static void test_any_body(void **state)
{
    static const char bytes[] = "\r\n\r\n :xed\0";
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct buffer body = {0}, out = {0}, normal = {0};
        struct seen seen = {0};
        for (size_t len = unit_random(24); len > 0; len--)
            unit_append(&body, &bytes[unit_random(sizeof bytes - 1)], 1);
        written(EVENT_STREAM, SLICE("name"), false, buffer_slice(&body),
                (unsigned)round % ROOM_WAYS, &out);
        see(buffer_slice(&out), &seen);
        normalise(buffer_slice(&body), &normal);
        assert_row(round, seen.events == 1);
        assert_slice(round, buffer_slice(&seen.data), buffer_slice(&normal));
        buffer_free(&body);
        buffer_free(&out);
        buffer_free(&normal);
        seen_free(&seen);
    }
}

/* A heartbeat is no event, and the end is one, whose data is empty but there: a browser would not
 * tell of it otherwise. */
static void test_others(void **state)
{
    struct event nothing = {0};
    struct seen seen = {0};
    char byte;
    (void)state;
    assert_false(event_unfinished(&nothing));
    assert_int_equal(event_write(&nothing, &byte, 1), 0);

    see(event_heartbeat(EVENT_STREAM), &seen);
    assert_int_equal(seen.events, 0);
    see(event_end(EVENT_STREAM), &seen);
    assert_int_equal(seen.events, 1);
    assert_slice(0, buffer_slice(&seen.type), SLICE("end"));
    assert_int_equal(seen.data.len, 0);
    see(event_cut(EVENT_STREAM), &seen);
    assert_int_equal(seen.events, 1); /* a browser tells nobody of the one of a cut */
    seen_free(&seen);

    assert_slice(0, event_heartbeat(EVENT_TEMPLATES), SLICE("\n")); /* white space */
    assert_int_equal(event_end(EVENT_TEMPLATES).len, 0);
    assert_int_equal(event_cut(EVENT_TEMPLATES).len, 0);
}

/* A turn looks at no more of a long line than it writes: others wait meanwhile. */
static void test_long_line(void **state)
{
    struct buffer body = {0};
    struct event event;
    char out[100];
    (void)state;
    for (int i = 0; i < 1000; i++)
        unit_append(&body, "xxxxxxxxxxxxxxxxxxxx", 20);
    event_begin(&event, EVENT_STREAM, SLICE("a"), false, buffer_slice(&body));
    for (size_t turn = 1; turn <= 10; turn++) {
        assert_int_equal(event_write(&event, out, sizeof out), sizeof out);
        assert_true(body.len - event.body.len <= turn * sizeof out);
    }
    buffer_free(&body);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"a", true},          {"ends", true},           {"END", true},     {"the/end", true},
        {"end/x", true},      {"error", true},          {":errors", true}, {"a:error/b", true},
        {"end", false},       {"a:error", false},       {":error", false}, {"a/b:error", false},
        {"end:error", false}, {"a:error:error", false}, {"message", true}, {"erro", true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].name));
        assert_row(i, event_name_valid(exact) == cases[i].valid);
        unit_drop(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),   cmocka_unit_test(test_templates),
        cmocka_unit_test(test_any_body), cmocka_unit_test(test_others),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_long_line),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
