/* The set is a hash table. uthash also keeps the order in which templates were added: they are searched
 * for unknown names in this order, each once, since what is known stays known. */
#include "render/templates.h"

#include <stdio.h>

#include "base/byte.h"
#include "base/fnv.h"
#include "base/table.h"

const struct slice template_endings[TEMPLATE_ENDINGS] = {SLICE_INIT(""), SLICE_INIT(".html"),
                                                         SLICE_INIT(".mustache")};

struct entry {
    UT_hash_handle hh;
    char *name;
    struct mustache *template; /* NULL: missing */
    uint64_t digest;           /* of its text */
    bool visited;              /* by templates_digest */
};

struct templates {
    struct entry *entries;
    const struct entry *searched; /* up to this one; NULL: none yet */
    size_t at;                    /* in the one that is being searched, which is the next */
};

struct templates *templates_new(void)
{
    return alloc_zeroed(sizeof(struct templates));
}

static void free_entry(struct entry *entry)
{
    mustache_free(entry->template);
    free(entry->name);
    free(entry);
}

void templates_free(struct templates *set)
{
    struct entry *entry, *next;
    if (!set)
        return;
    HASH_ITER(hh, set->entries, entry, next)
    {
        HASH_DEL(set->entries, entry);
        free_entry(entry);
    }
    free(set);
}

bool template_name_is_safe(struct slice name)
{
    if (name.len == 0 || name.len > TEMPLATE_NAME_MAX || name.data[name.len - 1] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        bool begins = i == 0 || name.data[i - 1] == '/';
        if (byte_is_control(name.data[i]) ||
            (begins && (name.data[i] == '/' || name.data[i] == '.')))
            return false;
    }
    return true;
}

static struct entry *find_exactly(const struct templates *set, struct slice name)
{
    struct entry *entry = NULL;
    if (name.len > 0 && name.len <= TEMPLATE_NAME_MAX)
        HASH_FIND(hh, set->entries, name.data, name.len, entry);
    return entry;
}

static struct entry *find(const struct templates *set, struct slice name)
{
    char whole[TEMPLATE_NAME_MAX + TEMPLATE_ENDING_MAX];
    struct entry *entry = find_exactly(set, name);
    if (name.len == 0 || name.len > TEMPLATE_NAME_MAX)
        return NULL;
    memcpy(whole, name.data, name.len);
    for (size_t i = 1; i < TEMPLATE_ENDINGS && !entry; i++) {
        struct slice ending = template_endings[i];
        memcpy(whole + name.len, ending.data, ending.len);
        entry = find_exactly(set, (struct slice){whole, name.len + ending.len});
    }
    return entry;
}

/* Takes the template, which may be NULL. Returns the new entry; or NULL and frees it, with *why set. */
static struct entry *add(struct templates *set, struct slice name, struct mustache *template,
                         const char **why)
{
    *why = "out of memory";
    struct entry *entry = alloc_zeroed(sizeof *entry);
    if (!entry) {
        mustache_free(template);
        return NULL;
    }
    entry->template = template;
    entry->name = alloc_copy(name.data, name.len);
    if (name.len == 0 || name.len > TEMPLATE_NAME_MAX) {
        *why = "the name of the template is empty or too long";
    } else if (HASH_COUNT(set->entries) >= TEMPLATES_MAX) {
        *why = "there are too many templates";
    } else if (entry->name) {
        HASH_ADD_KEYPTR(hh, set->entries, entry->name, name.len, entry);
        if (entry->hh.tbl)
            return entry;
    }
    free_entry(entry);
    return NULL;
}

const struct mustache *templates_add(struct templates *set, struct slice name, const char *file,
                                     struct slice text, struct mustache_error *error)
{
    const char *why = "the template is missing";
    struct entry *entry = find_exactly(set, name);
    if (!entry) {
        struct mustache *template = mustache_compile(file, text, error);
        if (!template)
            return NULL;
        entry = add(set, name, template, &why);
        if (entry)
            entry->digest = fnv_add(FNV_BEGIN, text);
    }
    if (entry && entry->template)
        return entry->template;
    error->place = (struct mustache_place){.file = file, .line = 1, .column = 1};
    snprintf(error->why, sizeof error->why, "%s", why);
    return NULL;
}

bool templates_add_missing(struct templates *set, struct slice name)
{
    const char *why;
    return find_exactly(set, name) || add(set, name, NULL, &why);
}

bool templates_next_unknown(struct templates *set, struct slice *name, struct mustache_place *place)
{
    for (;;) {
        const struct entry *entry = set->searched ? set->searched->hh.next : set->entries;
        if (!entry)
            return false;
        size_t at = set->at;
        while (entry->template && mustache_next_partial(entry->template, &at, name)) {
            if (!find(set, *name)) {
                *place = mustache_partial_place(entry->template, at);
                return true; /* and once more, until it is known */
            }
            set->at = at;
        }
        set->searched = entry;
        set->at = 0;
    }
}

const struct mustache *templates_get(const struct templates *set, struct slice name)
{
    const struct entry *entry = find(set, name);
    return entry ? entry->template : NULL;
}

bool templates_are_dynamic(const struct templates *set)
{
    for (const struct entry *each = set->entries; each; each = each->hh.next)
        if (each->template && mustache_is_dynamic(each->template))
            return true;
    return false;
}

/* Marks what the template needs. Returns whether some of it has dynamic names. They are in a list, and
 * not searched recursively, since a template may include a thousand others in a row. */
static bool visit(struct templates *set, struct entry *first)
{
    struct entry *waiting[TEMPLATES_MAX];
    size_t count = 0;
    bool dynamic = false;
    first->visited = true;
    waiting[count++] = first;
    while (count > 0) {
        const struct mustache *template = waiting[--count]->template;
        struct slice name;
        size_t at = 0;
        dynamic = dynamic || (template && mustache_is_dynamic(template));
        while (template && mustache_next_partial(template, &at, &name)) {
            struct entry *entry = find(set, name);
            if (!entry || entry->visited)
                continue;
            entry->visited = true;
            waiting[count++] = entry;
        }
    }
    return dynamic;
}

uint64_t templates_digest(struct templates *set, struct slice name)
{
    struct entry *first = find(set, name);
    uint64_t digest = fnv_add(FNV_BEGIN, name);
    for (struct entry *each = set->entries; each; each = each->hh.next)
        each->visited = false;
    bool all = first && visit(set, first);
    for (const struct entry *each = set->entries; each; each = each->hh.next)
        if (all || each->visited)
            digest += fnv_add(each->digest, slice_of(each->name)); /* in any order */
    return digest;
}

enum mustache_lookup templates_find(void *arg, struct slice name, const struct mustache **found,
                                    const char **why)
{
    (void)why;
    *found = templates_get(arg, name);
    return *found ? MUSTACHE_FOUND : MUSTACHE_MISSING;
}
