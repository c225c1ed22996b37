/* Reads the fields one by one, and draws the conclusions at their end. */
#include "source/terms.h"

#include <stdio.h>

#include "base/byte.h"
#include "source/date.h"

bool terms_authorized(const struct source_request *request)
{
    return inputs_find(request->inputs, INPUT_HEADER, SLICE("authorization")).data != NULL;
}

bool terms_has_user(const struct source_request *request)
{
    struct inputs_reader reader = inputs_read(request->inputs);
    const struct input *input;
    struct slice value;
    bool any_secret = false, has_secret = false, has_header = false;
    while ((input = inputs_next(&reader, &value))) {
        bool is_header = input->kind == INPUT_HEADER;
        bool is_secret = input->kind == INPUT_COOKIE ||
                         (is_header && slice_equal(input->name, SLICE("authorization")));
        any_secret |= is_secret;
        has_secret |= is_secret && value.len > 0;
        has_header |= is_header && value.len > 0;
    }
    return any_secret ? has_secret : has_header;
}

void terms_of_nobody(struct terms_reader *reader)
{
    reader->of_nobody = true;
}

void terms_begin(struct terms_reader *reader, const struct source_rules *rules, bool authorized,
                 int status, int64_t now_s)
{
    static const struct source_rules no_rules;
    const struct directives none = DIRECTIVES_NONE;
    memset(reader, 0, sizeof *reader);
    reader->rules = rules ? rules : &no_rules;
    reader->authorized = authorized;
    reader->status = status;
    reader->now_s = now_s;
    reader->control = reader->cdn = reader->surrogate = none;
    reader->expires_s = reader->date_s = reader->age_s = DIRECTIVE_NOT_SAID;
}

/* --- one field --- */

/* Whether the request header reaches the source only as the route's `vary` has it. (Nothing else of
 * the client's Cookie, Accept-Language or Host does.) */
static bool is_input(const struct vary *vary, struct slice header)
{
    static const struct {
        struct slice header;
        enum input_kind kind;
    } others[] = {
        {SLICE_INIT("Cookie"), INPUT_COOKIE},
        {SLICE_INIT("Accept-Language"), INPUT_LANGUAGE},
        {SLICE_INIT("Host"), INPUT_HOST},
        {SLICE_INIT("X-Forwarded-Host"), INPUT_HOST},
    };
    for (size_t i = 0; i < vary->count; i++) {
        const struct input *input = &vary->inputs[i];
        if (input->kind == INPUT_HEADER && slice_equal_nocase(input->name, header))
            return true;
        for (size_t j = 0; j < sizeof others / sizeof *others; j++)
            if (input->kind == others[j].kind && slice_equal_nocase(others[j].header, header))
                return true;
    }
    return false;
}

static void on_vary(struct terms_reader *reader, struct slice value)
{
    struct slice name;
    while ((name = directives_next_token(&value)).len > 0) {
        if (slice_equal(name, SLICE("*")))
            reader->varies_by_all = true;
        else if (!reader->varies_by[0] && !slice_equal_nocase(name, SLICE("Accept-Encoding")) &&
                 !is_input(&reader->rules->vary, name))
            snprintf(reader->varies_by, sizeof reader->varies_by, "%.*s", SLICE_ARGS(name));
    }
}

/* An invalid date is in the past (RFC 9111 5.3). The first field counts (RFC 9111 4.2.1). */
static void on_expires(struct terms_reader *reader, struct slice value)
{
    if (reader->expires_s == DIRECTIVE_NOT_SAID &&
        !date_read(value, reader->now_s, &reader->expires_s))
        reader->expires_s = 0;
}

static void on_date(struct terms_reader *reader, struct slice value)
{
    int64_t date_s;
    if (reader->date_s == DIRECTIVE_NOT_SAID && date_read(value, reader->now_s, &date_s))
        reader->date_s = date_s;
}

/* Of a list the first member counts; an invalid Age is ignored (RFC 9111 5.1). */
static void on_age(struct terms_reader *reader, struct slice value)
{
    int64_t age_s;
    const char *comma = value.len > 0 ? memchr(value.data, ',', value.len) : NULL;
    if (comma)
        value.len = (size_t)(comma - value.data);
    if (reader->age_s == DIRECTIVE_NOT_SAID && directives_read_seconds(slice_trim(value), &age_s))
        reader->age_s = age_s;
}

/* RFC 9110 8.8.3 */
static bool is_entity_tag(struct slice tag)
{
    if (slice_starts(tag, SLICE("W/")))
        tag = slice_from(tag, 2);
    if (tag.len < 2 || tag.data[0] != '"' || tag.data[tag.len - 1] != '"')
        return false;
    for (size_t i = 1; i < tag.len - 1; i++) {
        unsigned char byte = (unsigned char)tag.data[i];
        if (byte <= 0x20 || byte == '"' || byte == 0x7f)
            return false;
    }
    return true;
}

static void on_etag(struct terms_reader *reader, struct slice value)
{
    if (value.len > sizeof reader->etag || !is_entity_tag(value))
        return;
    memcpy(reader->etag, value.data, value.len);
    reader->etag_len = value.len;
}

static void on_last_modified(struct terms_reader *reader, struct slice value)
{
    int64_t ignored;
    if (value.len > sizeof reader->last_modified || !date_read(value, reader->now_s, &ignored))
        return;
    memcpy(reader->last_modified, value.data, value.len);
    reader->last_modified_len = value.len;
}

static bool is_kept(const struct source_rules *rules, struct slice name)
{
    for (size_t i = 0; i < rules->keep_count; i++)
        if (slice_equal_nocase(slice_of(rules->keep[i]), name))
            return keep_allows(name);
    return false;
}

/* Writes "name: value\n", with the name in lower case. */
static void keep(struct terms_reader *reader, struct slice name, struct slice value)
{
    size_t len = name.len + 2 + value.len + 1;
    char *at = reader->kept + reader->kept_len;
    if (!keep_value_valid(value))
        return;
    if (len > sizeof reader->kept - reader->kept_len) {
        snprintf(reader->left_out, sizeof reader->left_out, "%.*s", SLICE_ARGS(name));
        return;
    }
    for (size_t i = 0; i < name.len; i++)
        *at++ = byte_to_lower(name.data[i]);
    *at++ = ':';
    *at++ = ' ';
    if (value.len > 0)
        memcpy(at, value.data, value.len);
    at[value.len] = '\n';
    reader->kept_len += len;
}

static void on_control(struct terms_reader *reader, struct slice value)
{
    directives_add(&reader->control, value);
}

static void on_cdn_control(struct terms_reader *reader, struct slice value)
{
    if (!directives_add_dictionary(&reader->cdn, value, &reader->cdn_members))
        reader->cdn_bad = true;
}

static void on_surrogate_control(struct terms_reader *reader, struct slice value)
{
    directives_add_surrogate(&reader->surrogate, value);
}

static void on_set_cookie(struct terms_reader *reader, struct slice value)
{
    (void)value;
    reader->sets_cookie = true;
}

void terms_field(struct terms_reader *reader, struct slice name, struct slice value)
{
    static const struct {
        struct slice name;
        void (*read)(struct terms_reader *reader, struct slice value);
    } fields[] = {
        {SLICE_INIT("Cache-Control"), on_control},
        {SLICE_INIT("CDN-Cache-Control"), on_cdn_control},
        {SLICE_INIT("Surrogate-Control"), on_surrogate_control},
        {SLICE_INIT("Set-Cookie"), on_set_cookie},
        {SLICE_INIT("Vary"), on_vary},
        {SLICE_INIT("Expires"), on_expires},
        {SLICE_INIT("Date"), on_date},
        {SLICE_INIT("Age"), on_age},
        {SLICE_INIT("ETag"), on_etag},
        {SLICE_INIT("Last-Modified"), on_last_modified},
    };
    value = slice_trim(value);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (slice_equal_nocase(fields[i].name, name)) {
            fields[i].read(reader, value);
            return;
        }
    if (is_kept(reader->rules, name))
        keep(reader, name, value);
}

/* --- all of them --- */

/* The directives that count: those of Cache-Control, unless CDN-Cache-Control replaces them. */
static const struct directives *directives_of(const struct terms_reader *reader)
{
    return reader->cdn_members > 0 && !reader->cdn_bad ? &reader->cdn : &reader->control;
}

/* What to add to `vary`, for a field of Vary. */
static void advise(struct terms_reader *reader)
{
    struct slice name = slice_of(reader->varies_by);
    char input[sizeof reader->varies_by + sizeof "header:"];
    if (slice_equal_nocase(name, SLICE("Cookie")))
        snprintf(input, sizeof input, "cookie:NAME");
    else if (slice_equal_nocase(name, SLICE("Accept-Language")))
        snprintf(input, sizeof input, "language:TAGS");
    else if (slice_equal_nocase(name, SLICE("Host")) ||
             slice_equal_nocase(name, SLICE("X-Forwarded-Host")))
        snprintf(input, sizeof input, "host");
    else
        snprintf(input, sizeof input, "header:%s", reader->varies_by);
    snprintf(reader->why, sizeof reader->why, "\"Vary: %s\" (add \"%s\" to its vary)",
             reader->varies_by, input);
}

/* Returns why the result must not be shared, or NULL. */
static const char *forbidden_by(struct terms_reader *reader)
{
    const struct directives *said = directives_of(reader);
    const struct source_rules *rules = reader->rules;
    if (rules->ignores_origin)
        return NULL;
    if (reader->status == 206)
        return "status 206, which is only a part";
    if (reader->sets_cookie)
        return "Set-Cookie";
    if (said->no_store)
        return "no-store";
    if (said != &reader->cdn && reader->surrogate.no_store)
        return "Surrogate-Control: no-store";
    if (said->no_cache)
        return "no-cache";
    if (said->is_private && !rules->is_private)
        return "private (if its vary identifies the user, set private = \"yes\")";
    if (said->is_private && reader->of_nobody)
        return "private (and the request has no input that identifies its user)";
    if (reader->varies_by_all)
        return "\"Vary: *\"";
    if (reader->varies_by[0]) {
        advise(reader);
        return reader->why;
    }
    if (reader->authorized && !rules->is_private && !said->is_public &&
        said->s_maxage_s == DIRECTIVE_NOT_SAID && !said->must_revalidate)
        return "the request had the client's Authorization, and the response has none of public, "
               "s-maxage and must-revalidate";
    return NULL;
}

/* In seconds, or DIRECTIVE_NOT_SAID. */
static int64_t lifetime_of(const struct terms_reader *reader)
{
    const struct directives *said = directives_of(reader);
    bool by_cdn = said == &reader->cdn;
    if (!by_cdn && reader->surrogate.max_age_s != DIRECTIVE_NOT_SAID)
        return reader->surrogate.max_age_s;
    if (said->s_maxage_s != DIRECTIVE_NOT_SAID)
        return said->s_maxage_s;
    if (said->max_age_s != DIRECTIVE_NOT_SAID || by_cdn)
        return said->max_age_s;
    if (reader->expires_s == DIRECTIVE_NOT_SAID)
        return DIRECTIVE_NOT_SAID;
    int64_t date_s = reader->date_s != DIRECTIVE_NOT_SAID ? reader->date_s : reader->now_s;
    int64_t lifetime_s = reader->expires_s - date_s;
    return lifetime_s < 0 ? 0 : lifetime_s > DIRECTIVE_MOST_S ? DIRECTIVE_MOST_S : lifetime_s;
}

/* What is left of a time that begins at the end of the lifetime, if that was `late_s` ago. */
static int64_t left_ms(int64_t time_s, int64_t late_s)
{
    if (time_s == DIRECTIVE_NOT_SAID)
        return SOURCE_NOT_SAID;
    return time_s > late_s ? (time_s - late_s) * 1000 : 0;
}

/* How long clients may use the result, in seconds; DIRECTIVE_NOT_SAID: as long as we. */
static int64_t clients_lifetime_of(const struct terms_reader *reader)
{
    const struct directives *control = &reader->control;
    bool is_ours = directives_of(reader) == control && control->s_maxage_s == DIRECTIVE_NOT_SAID &&
                   reader->surrogate.max_age_s == DIRECTIVE_NOT_SAID;
    if (control->no_cache && !reader->rules->ignores_origin)
        return 0;
    return is_ours ? DIRECTIVE_NOT_SAID : control->max_age_s;
}

struct source_terms terms_end(struct terms_reader *reader)
{
    const struct directives *said = directives_of(reader);
    const char *why = forbidden_by(reader);
    int64_t lifetime_s = lifetime_of(reader);
    int64_t age_s = reader->age_s != DIRECTIVE_NOT_SAID ? reader->age_s : 0;
    int64_t late_s =
        lifetime_s != DIRECTIVE_NOT_SAID && age_s > lifetime_s ? age_s - lifetime_s : 0;
    int64_t stale_s = said->stale_s;
    if (stale_s == DIRECTIVE_NOT_SAID && said != &reader->cdn)
        stale_s = reader->surrogate.stale_s;
    return (struct source_terms){
        .sharing = why ? SHARING_FORBIDDEN : SHARING_ALLOWED,
        .why = why,
        .fresh_ms = left_ms(lifetime_s, age_s),
        .stale_ms = left_ms(stale_s, late_s),
        .stale_error_ms = left_ms(said->stale_error_s, late_s),
        .clients_ms = left_ms(clients_lifetime_of(reader), age_s),
        .clients_no_store = said == &reader->cdn && !reader->rules->ignores_origin &&
                            (reader->control.no_store || reader->control.is_private),
        .must_revalidate = said->must_revalidate && !reader->rules->ignores_origin,
        .etag = {.data = reader->etag, .len = reader->etag_len},
        .last_modified = {.data = reader->last_modified, .len = reader->last_modified_len},
        .kept = {.data = reader->kept, .len = reader->kept_len},
        .left_out = slice_of(reader->left_out),
    };
}
