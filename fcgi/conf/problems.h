/* Errors and warnings about a config file: collected as they are found, and written in the order of
 * lines. An error prevents the start, a warning does not. */
#ifndef WORKERLESS_CONF_PROBLEMS_H
#define WORKERLESS_CONF_PROBLEMS_H

#include <stddef.h>
#include <stdio.h>

#define PROBLEMS_MAX 100 /* kept of each severity; more are only counted */
#define QUOTE_ROOM   72

enum problem_severity { PROBLEM_ERROR, PROBLEM_WARNING };
#define PROBLEM_SEVERITIES 2

struct problem {
    int line;
    enum problem_severity severity;
    char *text;
};

struct problems { /* all zero except `file`: no problems */
    const char *file;
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

/* Writes "FILE:LINE: text" lines; in a warning, "warning: " comes before the text. */
void problems_write(const struct problems *problems, FILE *out);

void problems_free(struct problems *problems);

#endif
