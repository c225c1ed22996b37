/* Errors and warnings about a config file and the files that it includes: collected as they are
 * found, and written in the order of lines. An error prevents the start, a warning does not.
 *
 * The lines of all files are numbered one after another, in the order in which the files are read:
 * such a number says the file, too. Messages show the file and the line in it. */
#ifndef WORKERLESS_CONF_PROBLEMS_H
#define WORKERLESS_CONF_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PROBLEMS_MAX 100 /* kept of each severity; more are only counted */
#define QUOTE_ROOM   72
#define PLACE_ROOM   300

struct conf_files;

enum problem_severity { PROBLEM_ERROR, PROBLEM_WARNING };
#define PROBLEM_SEVERITIES 2

struct problem {
    int line;
    enum problem_severity severity;
    char *text;
};

struct problem_file {
    char *path;
    int before; /* lines of the files that were read before it */
};

struct problems { /* all zero except `file`: no problems */
    const char *file;
    struct problem_file *included; /* in the order of lines, which follow those of `file` */
    size_t included_count;
    struct conf_files *named; /* gets the paths that files_path returns; NULL: nobody wants them */
    struct problem list[PROBLEM_SEVERITIES * PROBLEMS_MAX];
    size_t count;                                              /* problems in the list */
    size_t kept[PROBLEM_SEVERITIES], lost[PROBLEM_SEVERITIES]; /* by severity */
};

/* Adds an error; line 0 means no line. Control characters in the text are written as \xNN. */
void problems_add(struct problems *problems, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a warning. If there is no memory for it, it counts as an error. */
void problems_warn(struct problems *problems, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text in double quotes, cut if it is long. Returns `room`. */
const char *problem_quote(char room[QUOTE_ROOM], const char *text);

/* The number of problems of that severity, kept or not. */
static inline size_t problems_found(const struct problems *problems, enum problem_severity severity)
{
    return problems->kept[severity] + problems->lost[severity];
}

/* Adds a file that is included; its first line has the number `before` + 1. Returns false when out
 * of memory. */
bool problems_include(struct problems *problems, const char *path, int before);

/* The file that has the line; line 0: the config file itself. `*before` is the number of lines
 * before that file. */
const char *problems_file(const struct problems *problems, int line, int *before);

/* The place of a line in a message about another one: "line 3", or "FILE:3" if it is in another
 * file. Returns `room`. */
const char *problems_place(const struct problems *problems, int about, int line,
                           char room[PLACE_ROOM]);

/* Writes "FILE:LINE: text" lines; in a warning, "warning: " comes before the text. */
void problems_write(const struct problems *problems, FILE *out);

void problems_free(struct problems *problems);

#endif
