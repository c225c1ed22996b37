/* The envelope: what decodes is complete, and encodes and decodes to the same again. */
#include "cache/entry.h"

#include "fuzz.h"

static void check_fields(const struct entry *entry)
{
    struct entry_terms terms = entry_terms_of(entry);
    FUZZ_CHECK(!terms.has_stale || (terms.stale_ms >= 0 && terms.stale_error_ms >= 0));
    FUZZ_CHECK(terms.etag.len == 0 || fuzz_within(terms.etag, entry->encoded));
    FUZZ_CHECK(terms.last_modified.len == 0 || fuzz_within(terms.last_modified, entry->encoded));
    FUZZ_CHECK(terms.kept.len == 0 || fuzz_within(terms.kept, entry->encoded));
    FUZZ_CHECK(keep_value_valid(terms.etag) && keep_value_valid(terms.last_modified));
    for (size_t i = 0; i < terms.kept.len; i++)
        FUZZ_CHECK(terms.kept.data[i] == '\n' ||
                   keep_value_valid((struct slice){terms.kept.data + i, 1}));
}

static void check(const struct entry *entry)
{
    check_fields(entry);
    FUZZ_CHECK(fuzz_within(entry->body, entry->encoded));
    FUZZ_CHECK(fuzz_within(entry->type, entry->encoded));
    FUZZ_CHECK(entry->type.len > 0);
    for (size_t i = 0; i < entry->type.len; i++)
        FUZZ_CHECK((unsigned char)entry->type.data[i] >= ' ' && entry->type.data[i] != 0x7f);
    FUZZ_CHECK(strlen(entry->etag) == ENTRY_ETAG_LEN);
    FUZZ_CHECK(entry_footprint(entry) >= entry->encoded.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = fuzz_slice(data, size);
    struct entry *entry = entry_decode(bytes);
    if (entry) {
        FUZZ_CHECK(entry_is_envelope(bytes));
        FUZZ_CHECK(slice_equal(entry->encoded, bytes));
        check(entry);
        entry_unref(entry);
    }

    /* The input as a result: its first byte tells where the type ends. */
    size_t type_len = size > 0 && data[0] < size ? data[0] : 0;
    struct slice type = {.data = bytes.data, .len = type_len};
    struct entry *made = entry_new(type, slice_from(bytes, type_len), 1732417847123, 60000, 840);
    FUZZ_CHECK(made);
    check(made);
    struct entry *again = entry_decode(made->encoded);
    FUZZ_CHECK(again && slice_equal(again->body, made->body));
    FUZZ_CHECK(slice_equal(again->type, made->type) && strcmp(again->etag, made->etag) == 0);
    entry_unref(again);
    entry_unref(made);
    return 0;
}
