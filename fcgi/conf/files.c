/* scan.c checks where ${file:...} is written, and marks it, so that libconfuse leaves it alone. */
#include "conf/files.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "conf/conf.h"
#include "conf/scan.h"

#define BEGINNING SCAN_FILE_MARK "{file:"
#define TEXT_MAX  4096 /* bytes of one file's text */

bool files_note(struct problems *problems, const char *path)
{
    struct conf_files *files = problems->named;
    char *copy = files ? alloc_copy(path, strlen(path)) : NULL;
    char **list = copy ? alloc_resized(files->list, (files->count + 1) * sizeof *list) : NULL;
    if (files && !list) {
        free(copy);
        problems_add(problems, 0, "out of memory");
        return false;
    }
    if (files) {
        files->list = list;
        list[files->count++] = copy;
    }
    return true;
}

char *files_path(struct problems *problems, int line, const char *directory, const char *name)
{
    int before;
    const char *file = problems_file(problems, line, &before), *slash = strrchr(file, '/');
    struct slice start =
        directory ? slice_of(directory)
                  : (struct slice){.data = file, .len = slash ? (size_t)(slash - file) : 0};
    bool is_relative = name[0] != '/' && (directory || slash);
    if (!is_relative)
        start.len = 0;
    char *path = alloc_bytes(start.len + strlen(name) + 2);
    if (!path) {
        problems_add(problems, 0, "out of memory");
        return NULL;
    }
    memcpy(path, start.data, start.len);
    strcpy(path + start.len, is_relative ? "/" : "");
    strcat(path, name);
    if (!files_note(problems, path)) {
        free(path);
        return NULL;
    }
    return path;
}

/* Returns what is wrong with the text, or NULL. Removes the end of its last line. */
static const char *trim(char *text, size_t *len)
{
    if (*len > 0 && text[*len - 1] == '\n')
        --*len;
    if (*len > 0 && text[*len - 1] == '\r')
        --*len;
    if (memchr(text, '\0', *len))
        return "has a NUL byte: not a text";
    return *len > TEXT_MAX ? "more than 4096 bytes" : NULL;
}

/* Appends the text of the file. */
static bool append_file(struct buffer *text, const char *name, int line, struct problems *problems)
{
    size_t len;
    const char *why = NULL;
    char *path = files_path(problems, line, NULL, name);
    char *content = path ? scan_read_file(path, &len, &why) : NULL;
    if (content)
        why = trim(content, &len);
    if (content && !why && !buffer_append(text, content, len, SIZE_MAX))
        why = "out of memory";
    if (why)
        problems_add(problems, line, "${file:%.60s}: %s: %s", name, path, why);
    free(content);
    free(path);
    return content && !why;
}

/* Takes the text. Returns it with the text of its files, or as it is in the config if there was a
 * problem, and sets *origin. The caller frees it. */
static char *expand(char *text, int line, enum value_origin *origin, struct problems *problems)
{
    struct buffer expanded = {0};
    char *rest = text, *mark;
    bool ok = true;
    *origin = VALUE_WRITTEN;
    while ((mark = strstr(rest, BEGINNING))) {
        char *name = mark + strlen(BEGINNING), *end = strchr(name, '}');
        *origin = VALUE_FROM_FILE;
        *mark = '$';
        if (!end)
            break;
        *end = '\0';
        ok = buffer_append(&expanded, rest, (size_t)(mark - rest), SIZE_MAX) &&
             append_file(&expanded, name, line, problems) && ok;
        *end = '}';
        rest = end + 1;
    }
    if (*origin == VALUE_WRITTEN)
        return text;
    if (ok && buffer_append(&expanded, rest, strlen(rest) + 1, SIZE_MAX)) {
        free(text);
        return expanded.data;
    }
    if (ok)
        problems_add(problems, 0, "out of memory");
    *origin = VALUE_UNREADABLE;
    buffer_free(&expanded);
    return text;
}

void files_expand(struct document *document, struct problems *problems)
{
    enum value_origin origin;
    for (size_t i = 0; i < document->section_count; i++) {
        struct section *section = &document->sections[i];
        if (section->title)
            section->title = expand(section->title, section->line, &origin, problems);
    }
    for (size_t i = 0; i < document->value_count; i++) {
        struct value *value = &document->values[i];
        value->text = expand(value->text, value->line, &value->origin, problems);
    }
}
