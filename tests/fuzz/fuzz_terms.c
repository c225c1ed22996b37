/* Header fields of a response, "Name: value" lines: what is read of them is within its bounds, and an
 * entry on these terms can be decoded. */
#include "source/terms.h"

#include "cache/entry.h"
#include "fuzz.h"

static void check(const struct source_terms *terms)
{
    FUZZ_CHECK((terms->sharing == SHARING_FORBIDDEN) == (terms->why != NULL));
    FUZZ_CHECK(terms->fresh_ms >= SOURCE_NOT_SAID && terms->fresh_ms <= DIRECTIVE_MOST_S * 1000);
    FUZZ_CHECK(terms->stale_ms >= SOURCE_NOT_SAID && terms->stale_ms <= DIRECTIVE_MOST_S * 1000);
    FUZZ_CHECK(terms->etag.len <= TERMS_ETAG_MAX && terms->last_modified.len <= TERMS_DATE_MAX);
    FUZZ_CHECK(terms->kept.len <= KEEP_MAX);
    FUZZ_CHECK(keep_value_valid(terms->etag) && keep_value_valid(terms->last_modified));

    struct entry_terms kept = {.etag = terms->etag,
                               .last_modified = terms->last_modified,
                               .kept = terms->kept};
    struct entry *entry = entry_new_on_terms(SLICE("x"), SLICE("body"), 1000, 2000, 3, &kept);
    struct entry *back = entry ? entry_decode(entry->encoded) : NULL;
    FUZZ_CHECK(back);
    struct entry_terms read = entry_terms_of(back);
    FUZZ_CHECK(slice_equal(read.etag, terms->etag));
    FUZZ_CHECK(slice_equal(read.last_modified, terms->last_modified));
    FUZZ_CHECK(slice_equal(read.kept, terms->kept));
    entry_unref(back);
    entry_unref(entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct input inputs[] = {{INPUT_COOKIE, SLICE_INIT("a")}};
    static const char *const keep[] = {"link", "x"};
    static const struct source_rules rules = {.vary = {.inputs = inputs, .count = 1},
                                              .keep = keep,
                                              .keep_count = 2};
    struct slice rest = fuzz_slice(data, size);
    struct terms_reader reader;
    terms_begin(&reader, &rules, size % 2, size % 7 == 6 ? 206 : 200, 1700000000);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        struct slice line = {.data = rest.data, .len = end ? (size_t)(end - rest.data) : rest.len};
        const char *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;
        rest = slice_from(rest, line.len + (end ? 1 : 0));
        if (colon) {
            struct slice name = {.data = line.data, .len = (size_t)(colon - line.data)};
            terms_field(&reader, name, slice_from(line, name.len + 1));
        }
    }
    struct source_terms terms = terms_end(&reader);
    check(&terms);
    return 0;
}
