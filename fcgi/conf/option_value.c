/* Converts the text of an option to the member, for every section. */
#include "conf/option_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "conf/units.h"
#include "source/source.h"

#define WORDS_ROOM OPTION_TYPES_ROOM
static bool type_has(const struct source_type *type, const char *option)
{
    for (size_t i = 0; i < type->option_count; i++)
        if (strcmp(type->options[i].name, option) == 0)
            return true;
    return false;
}

/* Writes the types of source that have an option of that name (NULL: all types), separated by
 * spaces. */
static const char *type_names(const char *option, char room[WORDS_ROOM])
{
    size_t len = 0;
    room[0] = '\0';
    for (const struct source_type *const *type = source_types; *type; type++) {
        if ((!option || type_has(*type, option)) && len < WORDS_ROOM)
            len += (size_t)snprintf(room + len, WORDS_ROOM - len, "%s%s", len > 0 ? " " : "",
                                    (*type)->name);
    }
    return room;
}

/* Writes "a, b or c" for the words "a b c". */
static const char *show_words(const char *words, char room[OPTION_TYPES_ROOM])
{
    size_t len = 0;
    room[0] = '\0';
    for (const char *word = words; *word && len < OPTION_TYPES_ROOM;) {
        const char *end = word + strcspn(word, " ");
        const char *before = word == words ? "" : *end ? ", " : " or ";
        len += (size_t)snprintf(room + len, OPTION_TYPES_ROOM - len, "%s%.*s", before,
                                (int)(end - word), word);
        word = *end ? end + 1 : end;
    }
    return room;
}

void option_types(const char *name, char room[OPTION_TYPES_ROOM])
{
    char words[WORDS_ROOM];
    show_words(type_names(name, words), room);
}

/* A parsed value. */
struct parsed {
    double seconds[2];
    size_t number;
    unsigned mode;
    bool is_word; /* instead of a count */
};

/* Sets the index of the word. Returns false if it is not one of them. */
static bool parse_choice(const char *words, const char *text, size_t *number)
{
    size_t len = strlen(text), count = 0;
    for (const char *word = words; *word; count++) {
        size_t word_len = strcspn(word, " ");
        if (word_len == len && memcmp(word, text, len) == 0) {
            *number = count;
            return true;
        }
        word += word_len + (word[word_len] == ' ');
    }
    return false;
}

static const char *parse(const struct option *option, const char *text, struct parsed *parsed)
{
    switch (option->kind) {
    case OPTION_DURATION:
        return units_parse_duration(text, &parsed->seconds[0]);
    case OPTION_RANGE:
        return units_parse_range(text, &parsed->seconds[0], &parsed->seconds[1]);
    case OPTION_SIZE:
        return units_parse_size(text, &parsed->number);
    case OPTION_COUNT:
        parsed->is_word = option->words && parse_choice(option->words, text, &parsed->number);
        if (parsed->is_word)
            return NULL;
        if (option->min && !byte_is_digit(text[0]))
            return ""; /* say what it must be */
        return units_parse_count(text, &parsed->number);
    case OPTION_RATE:
        return units_parse_rate(text, &parsed->number, &parsed->seconds[0]);
    case OPTION_SHARE:
        return units_parse_share(text, &parsed->seconds[0]);
    case OPTION_MODE:
        return units_parse_mode(text, &parsed->mode);
    case OPTION_CHOICE:
        return parse_choice(option->words, text, &parsed->number) ? NULL : "";
    case OPTION_TYPE:
        return source_type_find(text) ? NULL : "";
    default:
        return option->check ? option->check(text) : NULL;
    }
}

/* The maximum applies to the end of a range, the minimum to its start. */
static bool less(const struct option *option, const struct parsed *a, const struct parsed *b)
{
    switch (option->kind) {
    case OPTION_DURATION:
    case OPTION_SHARE:
        return a->seconds[0] < b->seconds[0];
    case OPTION_RANGE:
        return a->seconds[0] < b->seconds[0] || a->seconds[1] < b->seconds[1];
    case OPTION_RATE:
        return a->number < b->number || a->seconds[0] < b->seconds[0];
    default:
        return a->number < b->number;
    }
}

static bool within_limits(const struct option *option, const struct parsed *parsed)
{
    struct parsed limit;
    if (parsed->is_word || (option->kind == OPTION_RATE && parsed->number == 0))
        return true;
    if (option->min && !parse(option, option->min, &limit) && less(option, parsed, &limit))
        return false;
    return !(option->max && !parse(option, option->max, &limit) && less(option, &limit, parsed));
}

const char *option_choices(const struct option *option, char room[OPTION_TYPES_ROOM])
{
    char names[WORDS_ROOM];
    if (option->kind == OPTION_TYPE)
        return show_words(type_names(NULL, names), room);
    return option->words ? show_words(option->words, room) : NULL;
}

static void describe_limits(const struct option *option, char wrong[OPTION_WRONG_ROOM])
{
    char room[OPTION_TYPES_ROOM];
    const char *words = option_choices(option, room);
    if (words && option->min)
        snprintf(wrong, OPTION_WRONG_ROOM, "must be %s, or from %s to %s", words, option->min,
                 option->max);
    else if (words)
        snprintf(wrong, OPTION_WRONG_ROOM, "must be %s", words);
    else
        snprintf(wrong, OPTION_WRONG_ROOM, "must be from %s to %s", option->min, option->max);
}

/* Stores a new string, alone or at the end of the list. */
static bool store_string(const struct option *option, const char *text, void *member)
{
    char *copy = alloc_copy(text, strlen(text));
    if (!copy)
        return false;
    if (option->kind != OPTION_LIST) {
        *(const char **)member = copy;
        return true;
    }
    const char *const **list = member;
    size_t *count = (size_t *)(list + 1);
    const char **longer = alloc_resized((void *)*list, (*count + 1) * sizeof(*longer));
    if (!longer) {
        free(copy);
        return false;
    }
    longer[(*count)++] = copy;
    *list = longer;
    return true;
}

static void store_number(const struct option *option, size_t number, void *member)
{
    if (option->width == sizeof(bool))
        *(bool *)member = number != 0;
    else if (option->width == sizeof(unsigned))
        *(unsigned *)member = (unsigned)number;
    else
        *(size_t *)member = number;
}

static bool check(const struct option *option, const char *text, struct parsed *parsed,
                  char wrong[OPTION_WRONG_ROOM])
{
    const char *why = parse(option, text, parsed);
    if (!why && within_limits(option, parsed))
        return true;
    if (why && *why)
        snprintf(wrong, OPTION_WRONG_ROOM, "%s", why);
    else
        describe_limits(option, wrong);
    return false;
}

bool option_check(const struct option *option, const char *text, char wrong[OPTION_WRONG_ROOM])
{
    struct parsed parsed = {0};
    return check(option, text, &parsed, wrong);
}

bool option_store(const struct option *option, const char *text, void *target,
                  char wrong[OPTION_WRONG_ROOM])
{
    struct parsed parsed = {0};
    void *member = (char *)target + option->offset;
    if (!check(option, text, &parsed, wrong))
        return false;
    switch (option->kind) {
    case OPTION_DURATION:
    case OPTION_SHARE:
        *(double *)member = parsed.seconds[0];
        break;
    case OPTION_RANGE:
        memcpy(member, parsed.seconds, sizeof(parsed.seconds));
        break;
    case OPTION_RATE:
        *(struct rate *)member = (struct rate){parsed.number, parsed.seconds[0]};
        break;
    case OPTION_SIZE:
    case OPTION_COUNT:
    case OPTION_CHOICE:
        store_number(option, parsed.number, member);
        break;
    case OPTION_MODE:
        *(unsigned *)member = parsed.mode;
        break;
    case OPTION_STRING:
    case OPTION_PATH:
    case OPTION_LIST:
        if (!store_string(option, text, member)) {
            snprintf(wrong, OPTION_WRONG_ROOM, "out of memory");
            return false;
        }
        break;
    case OPTION_TYPE:
    case OPTION_SOURCE:
    case OPTION_FILE:
    case OPTION_INCLUDE:
        break;
    }
    return true;
}

/* Bytes of the member, and of the one after it if the value is in both. */
static size_t stored_len(const struct option *option)
{
    switch (option->kind) {
    case OPTION_RANGE:
        return 2 * sizeof(double);
    case OPTION_LIST:
        return sizeof(char **) + sizeof(size_t);
    default:
        return option->width;
    }
}

static bool text_equal(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool list_equal(const void *a, const void *b)
{
    const char *const *const *of_a = a, *const *const *of_b = b;
    size_t count = *(const size_t *)(of_a + 1);
    if (count != *(const size_t *)(of_b + 1))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp((*of_a)[i], (*of_b)[i]) != 0)
            return false;
    return true;
}

bool option_equal(const struct option *option, const void *a, const void *b)
{
    const void *of_a = (const char *)a + option->offset, *of_b = (const char *)b + option->offset;
    switch (option->kind) {
    case OPTION_STRING:
    case OPTION_PATH:
        return text_equal(*(const char *const *)of_a, *(const char *const *)of_b);
    case OPTION_LIST:
        return list_equal(of_a, of_b);
    case OPTION_TYPE:
    case OPTION_SOURCE:
    case OPTION_FILE:
    case OPTION_INCLUDE:
        return true;
    default: /* numbers, without padding between them */
        return memcmp(of_a, of_b, stored_len(option)) == 0;
    }
}

static void swap_bytes(char *a, char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

void option_swap(const struct option *option, void *a, void *b)
{
    swap_bytes((char *)a + option->offset, (char *)b + option->offset, stored_len(option));
}

void option_free(const struct option *option, void *target)
{
    void *member = (char *)target + option->offset;
    if (option->kind == OPTION_STRING || option->kind == OPTION_PATH)
        free((char *)*(const char **)member);
    if (option->kind == OPTION_LIST) {
        const char *const **list = member;
        for (size_t i = *(size_t *)(list + 1); i > 0; i--)
            free((char *)(*list)[i - 1]);
        free((void *)*list);
    }
}
