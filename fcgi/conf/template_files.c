/* Finds the files of templates by their names, and never leaves their directory. */
#include "conf/template_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/landlock.h"
#include "conf/scan.h"
#include "render/templates.h"

static bool is_within(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '/' || (len == 1 && path[1]));
}

/* Reads the file, if symbolic links do not lead out of the directory. Returns its text, owned; or NULL
 * with *why set, which is NULL if there is no such file. */
static char *read_within(const char *directory, const char *path, size_t *len, const char **why)
{
    struct stat status;
    char *root = realpath(directory, NULL), *file = root ? realpath(path, NULL) : NULL;
    char *text = NULL;
    int error = errno;
    *why = NULL;
    if (!file && (!root || (error != ENOENT && error != ENOTDIR)))
        *why = landlock_strerror(error);
    else if (file && !is_within(file, root))
        *why = "a symbolic link leads out of the directory of templates";
    else if (file && !(stat(file, &status) == 0 && S_ISDIR(status.st_mode)))
        text = scan_read_file(file, len, why);
    free(file);
    free(root);
    return text;
}

/* Compiles the text, and frees it. */
static enum template_found compile(struct templates *set, struct slice name, const char *path,
                                   char *text, size_t len, char why[TEMPLATE_WHY_ROOM])
{
    struct mustache_error error;
    bool ok = templates_add(set, name, path, (struct slice){.data = text, .len = len}, &error);
    if (!ok)
        mustache_describe(&error, why, TEMPLATE_WHY_ROOM);
    free(text);
    return ok ? TEMPLATE_ADDED : TEMPLATE_INVALID;
}

enum template_found template_files_add(const struct template_files *files, struct templates *set,
                                       struct slice name, char why[TEMPLATE_WHY_ROOM])
{
    char path[PATH_MAX], file_name[TEMPLATE_NAME_MAX + TEMPLATE_ENDING_MAX + 1];
    if (!template_name_is_safe(name)) {
        snprintf(why, TEMPLATE_WHY_ROOM,
                 "the name of a template is a path within its directory, of which no part begins "
                 "with a dot");
        return TEMPLATE_UNREADABLE;
    }
    if (templates_get(set, name))
        return TEMPLATE_ADDED;
    for (size_t i = 0; i < TEMPLATE_ENDINGS; i++) {
        const char *wrong = "the path is too long";
        char *text = NULL;
        size_t len;
        snprintf(file_name, sizeof file_name, "%.*s%s", SLICE_ARGS(name), template_endings[i].data);
        if (snprintf(path, sizeof path, "%s/%s", files->directory, file_name) < (int)sizeof path)
            text = read_within(files->directory, path, &len, &wrong);
        if (text)
            return compile(set, slice_of(file_name), path, text, len, why);
        if (wrong) {
            snprintf(why, TEMPLATE_WHY_ROOM, "%.800s: %s", path, wrong);
            return TEMPLATE_UNREADABLE;
        }
    }
    snprintf(why, TEMPLATE_WHY_ROOM, "there is no template \"%.*s\" in %s", SLICE_ARGS(name),
             files->directory);
    return TEMPLATE_MISSING;
}

/* Reports a problem with the name of a template, at the place where another template names it. */
static void report_at(const struct template_files *files, const struct mustache_place *place,
                      enum template_found found, const char *why)
{
    char text[TEMPLATE_WHY_ROOM + MUSTACHE_WHY_ROOM];
    snprintf(text, sizeof text, "%s:%zu:%zu: %s", place->file, place->line, place->column, why);
    files->report(files->arg, found, text);
}

/* Adds the templates that other templates name, and those that they name. Returns false if it has to
 * give up, which has been reported. */
static bool add_named(const struct template_files *files, struct templates *set)
{
    struct mustache_place place;
    struct slice name;
    while (templates_next_unknown(set, &name, &place)) {
        char why[TEMPLATE_WHY_ROOM];
        enum template_found found = template_files_add(files, set, name, why);
        if (found == TEMPLATE_ADDED)
            continue;
        if (found == TEMPLATE_INVALID)
            files->report(files->arg, found, why);
        else
            report_at(files, &place, found, why);
        if (!templates_add_missing(set, name)) {
            report_at(files, &place, TEMPLATE_UNREADABLE,
                      "there are too many templates, or there is no memory for them");
            return false;
        }
    }
    return true;
}

/* Whether a file of that name may be a template: .html, .mustache, or no ending at all. */
static bool may_be_template(struct slice name)
{
    if (!memchr(name.data, '.', name.len))
        return true;
    for (size_t i = 1; i < TEMPLATE_ENDINGS; i++) {
        size_t len = template_endings[i].len;
        if (name.len > len && slice_equal(slice_from(name, name.len - len), template_endings[i]))
            return true;
    }
    return false;
}

/* Adds all files of the directory. */
static void add_all(const struct template_files *files, struct templates *set)
{
    char why[TEMPLATE_WHY_ROOM];
    DIR *directory = opendir(files->directory);
    const struct dirent *each;
    while (directory && (each = readdir(directory))) {
        struct slice name = slice_of(each->d_name);
        if (!template_name_is_safe(name) || !may_be_template(name))
            continue;
        enum template_found found = template_files_add(files, set, name, why);
        if (found != TEMPLATE_ADDED && found != TEMPLATE_MISSING) /* it may be a directory */
            files->report(files->arg, found, why);
    }
    if (directory)
        closedir(directory);
}

void template_files_complete(const struct template_files *files, struct templates *set)
{
    if (!add_named(files, set) || !templates_are_dynamic(set))
        return;
    add_all(files, set);
    add_named(files, set);
}
