/* A file is parsed on its own. Then its sections and values move to the document of all files, in
 * the order of the text; where an `include` stands among them, its files come first.
 *
 *     load_file --> move_all --> load_value --> load_file, for each file that it names
 *
 * libconfuse has an include of its own, but it opens files itself, unscanned, and its messages lack
 * the file.
 */
#include "conf/include.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/landlock.h"
#include "conf/files.h"
#include "conf/scan.h"

#define FILES_MAX   1000 /* files in all */
#define DEPTH_MAX   8    /* files that include each other, the config file not counted */
#define CHAIN_ROOM  800
#define FAILED_ROOM 400

/* A file that has been read. */
struct file {
    dev_t device;
    ino_t number;
    int include_line; /* where it is included; 0: it is the config file */
    size_t by;        /* the file that includes it */
    unsigned depth;   /* 0: the config file */
};

struct loader {
    struct document *document;
    struct problems *problems;
    struct file *files; /* the first one is the config file */
    size_t file_count;
    int lines;           /* of all files so far */
    size_t option;       /* the number of `include` */
    bool too_many_files; /* has been reported */
};

static void load_file(struct loader *loader, const char *path, size_t by,
                      const struct value *value);

static void refuse(const struct loader *loader, const struct value *value, const char *why)
{
    char quote[QUOTE_ROOM];
    loader->document->whole = false;
    if (value)
        problems_add(loader->problems, value->line, "include = %s: %s",
                     problem_quote(quote, value->text), why);
    else
        problems_add(loader->problems, 0, "%s", why);
}

static void refuse_memory(const struct loader *loader)
{
    loader->document->whole = false;
    problems_add(loader->problems, 0, "out of memory");
}

/* --- files that were read before --- */

/* The path of the file, as messages show it. */
static const char *path_of(const struct loader *loader, size_t file)
{
    const struct problems *problems = loader->problems;
    return file == 0 ? problems->file : problems->included[file - 1].path;
}

/* Writes "a.conf includes b.conf, which includes a.conf": from `end` down to `by`, which includes it
 * again. */
static void describe_cycle(const struct loader *loader, size_t end, size_t by,
                           char room[CHAIN_ROOM])
{
    size_t chain[DEPTH_MAX + 1], count = 0;
    size_t len = (size_t)snprintf(room, CHAIN_ROOM, "%s", path_of(loader, end));
    for (; by != end; by = loader->files[by].by)
        chain[count++] = by;
    for (size_t i = count + 1; i > 0 && len < CHAIN_ROOM; i--)
        len += (size_t)snprintf(room + len, CHAIN_ROOM - len, "%s includes %s",
                                i == count + 1 ? "" : ", which",
                                path_of(loader, i > 1 ? chain[i - 2] : end));
}

static bool includes(const struct loader *loader, size_t outer, size_t file)
{
    while (file != outer && file != 0)
        file = loader->files[file].by;
    return file == outer;
}

/* Whether the file has not been read before. If it has, that is reported. */
static bool check_new(const struct loader *loader, const char *path, const struct stat *status,
                      size_t by, const struct value *value)
{
    char text[CHAIN_ROOM + FAILED_ROOM], chain[CHAIN_ROOM], where[PLACE_ROOM];
    size_t i = 0;
    while (i < loader->file_count &&
           (loader->files[i].device != status->st_dev || loader->files[i].number != status->st_ino))
        i++;
    if (i == loader->file_count)
        return true;
    if (includes(loader, i, by)) {
        describe_cycle(loader, i, by, chain);
        snprintf(text, sizeof text, "a cycle: %s", chain);
    } else {
        snprintf(text, sizeof text, "%.300s is included twice; first in %s", path,
                 problems_place(loader->problems, value->line, loader->files[i].include_line,
                                where));
    }
    refuse(loader, value, text);
    return false;
}

/* Adds the file to those that were read. */
static bool note_file(struct loader *loader, const struct file *file, const char *path)
{
    struct file *longer =
        alloc_resized(loader->files, (loader->file_count + 1) * sizeof *loader->files);
    if (longer)
        loader->files = longer;
    if (!longer ||
        (file->include_line > 0 && !problems_include(loader->problems, path, loader->lines))) {
        refuse_memory(loader);
        return false;
    }
    longer[loader->file_count++] = *file;
    return true;
}

/* --- patterns --- */

/* What kept glob from reading a directory. glob passes no context. */
static struct {
    char path[FAILED_ROOM - 100];
    int error;
} unreadable;

static int on_unreadable(const char *path, int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return 0; /* nothing matches there */
    snprintf(unreadable.path, sizeof unreadable.path, "%s", path);
    unreadable.error = error;
    return 1;
}

/* Returns the path as a pattern whose first `plain` bytes match only themselves. */
static char *escape(const char *path, size_t plain)
{
    char *pattern = alloc_bytes(2 * plain + strlen(path + plain) + 1), *to = pattern;
    for (size_t i = 0; pattern && i < plain; i++) {
        if (strchr("*?[\\", path[i]))
            *to++ = '\\';
        *to++ = path[i];
    }
    if (pattern)
        strcpy(to, path + plain);
    return pattern;
}

static void load_pattern(struct loader *loader, const char *pattern, size_t by,
                         const struct value *value)
{
    char text[FAILED_ROOM];
    glob_t found = {0};
    unreadable.error = 0;
    int status = glob(pattern, 0, on_unreadable, &found);
    if (status == GLOB_ABORTED) {
        snprintf(text, sizeof text, "%s: %s", unreadable.path, landlock_strerror(unreadable.error));
        refuse(loader, value, text);
    } else if (status == GLOB_NOSPACE) {
        refuse_memory(loader);
    }
    for (size_t i = 0; status == 0 && i < found.gl_pathc && !loader->too_many_files; i++)
        load_file(loader, found.gl_pathv[i], by, value);
    globfree(&found);
}

/* Reads the files that one value of `include` names. */
static void load_value(struct loader *loader, size_t by, const struct value *value)
{
    if (value->origin == VALUE_UNREADABLE) {
        loader->document->whole = false;
        return;
    }
    char *path = files_path(loader->problems, value->line, NULL, value->text);
    if (!path) {
        loader->document->whole = false;
        return;
    }
    if (!strpbrk(value->text, "*?[")) {
        load_file(loader, path, by, value);
    } else {
        char *pattern = escape(path, strlen(path) - strlen(value->text));
        if (pattern)
            load_pattern(loader, pattern, by, value);
        else
            refuse_memory(loader);
        free(pattern);
    }
    free(path);
}

/* --- files --- */

/* Moves the sections that begin before the end of the part. */
static bool move_sections(struct document *to, struct document *part, size_t *moved, size_t end)
{
    for (; *moved < end; ++*moved) {
        if (!document_add_section(to, part->sections[*moved]))
            return false;
        part->sections[*moved].title = NULL;
    }
    return true;
}

/* Moves what the file says to the document of all files. `file` is its number. */
static void move_all(struct loader *loader, struct document *part, size_t file)
{
    struct document *to = loader->document;
    size_t moved = file == 0 ? 0 : SECTION_SOURCE; /* those before exist once */
    for (size_t i = 0; i < part->value_count; i++) {
        struct value value = part->values[i];
        if (!move_sections(to, part, &moved, value.after)) {
            refuse_memory(loader);
            return;
        }
        if (value.section >= SECTION_SOURCE) /* options stand in the section that began last */
            value.section = to->section_count - 1;
        if (!document_add_value(to, value)) {
            refuse_memory(loader);
            return;
        }
        part->values[i].text = NULL;
        if (value.option == loader->option)
            load_value(loader, file, &value);
    }
    if (!move_sections(to, part, &moved, part->section_count))
        refuse_memory(loader);
}

/* Whether one more file may be read. */
static bool check_limits(struct loader *loader, const struct file *file, const struct value *value)
{
    char text[80];
    if (file->depth > DEPTH_MAX) {
        snprintf(text, sizeof text, "files that include each other in more than %d levels",
                 DEPTH_MAX);
        refuse(loader, value, text);
        return false;
    }
    if (loader->file_count < FILES_MAX)
        return true;
    if (!loader->too_many_files) {
        snprintf(text, sizeof text, "the config has more than %d files", FILES_MAX);
        refuse(loader, value, text);
    }
    loader->too_many_files = true;
    return false;
}

/* Reads a file, which `value` names and file number `by` includes. NULL: the config file. */
static void load_file(struct loader *loader, const char *path, size_t by, const struct value *value)
{
    char text[CHAIN_ROOM];
    const char *why;
    size_t len;
    struct stat status;
    struct document part = {.whole = false};
    struct file file = {.by = by};
    char *content = scan_read_file(path, &len, &why);
    if (!content || stat(path, &status) != 0) {
        snprintf(text, sizeof text, "%s%s%s", value ? path : "", value ? ": " : "",
                 content ? strerror(errno) : why);
        refuse(loader, value, text);
        free(content);
        return;
    }
    file.device = status.st_dev;
    file.number = status.st_ino;
    if (value) {
        file.include_line = value->line;
        file.depth = loader->files[by].depth + 1;
    }
    if ((!value ||
         (check_new(loader, path, &status, by, value) && check_limits(loader, &file, value))) &&
        note_file(loader, &file, path)) {
        int before = loader->lines;
        size_t number = loader->file_count - 1;
        if (scan_prepare(content, len, before, &loader->lines, loader->problems)) {
            syntax_parse(content, before, loader->lines, &part, loader->problems);
            files_expand(&part, loader->problems);
            move_all(loader, &part, number);
        }
        if (!part.whole)
            loader->document->whole = false;
    }
    document_free(&part);
    free(content);
}

bool include_load(struct document *document, int *last_line, struct problems *problems)
{
    struct loader loader = {
        .document = document,
        .problems = problems,
        .option = option_find(SECTION_TOP, NULL, "include"),
    };
    document->whole = true;
    load_file(&loader, problems->file, 0, NULL);
    *last_line = problems->included_count > 0 ? problems->included[0].before : loader.lines;
    free(loader.files);
    return document->section_count > 0;
}
