/* What is wrong with a config file, or doubtful: collected as it is found, written in the order of
 * its lines. An error prevents the start, a warning does not. */
#ifndef WORKERLESS_CONF_PROBLEMS_H
#define WORKERLESS_CONF_PROBLEMS_H

#include <stddef.h>
#include <stdio.h>

#define PROBLEMS_MAX 100 /* of each severity are kept; further ones are counted */
#define QUOTE_ROOM   72

enum problem_severity { PROBLEM_ERROR, PROBLEM_WARNING };
#define PROBLEM_SEVERITIES 2

struct problem {
    int line;
    enum problem_severity severity;
    char *text;
};

struct problems { /* all zero but `file`: none */
    const char *file;
    struct problem list[PROBLEM_SEVERITIES * PROBLEMS_MAX];
    size_t count;                                              /* of the list */
    size_t kept[PROBLEM_SEVERITIES], lost[PROBLEM_SEVERITIES]; /* by severity */
};

/* Adds an error. Line 0: it has no line. Control characters in the text appear as \xNN. */
void problems_add(struct problems *problems, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a warning. One that there is no memory for counts as an error. */
void problems_warn(struct problems *problems, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text in double quotes, cut if it is long. Returns `room`. */
const char *problem_quote(char room[QUOTE_ROOM], const char *text);

/* How many there are of that severity, kept or not. */
static inline size_t problems_found(const struct problems *problems, enum problem_severity severity)
{
    return problems->kept[severity] + problems->lost[severity];
}

/* Writes "FILE:LINE: text" lines; in a warning, "warning: " comes before the text. */
void problems_write(const struct problems *problems, FILE *out);

void problems_free(struct problems *problems);

#endif
