/* What is wrong with a config file: collected as it is found, written in the order of its lines. */
#ifndef WORKERLESS_CONF_PROBLEMS_H
#define WORKERLESS_CONF_PROBLEMS_H

#include <stddef.h>
#include <stdio.h>

#define PROBLEMS_MAX 100 /* kept; further ones are counted */
#define QUOTE_ROOM   72

struct problem {
    int line;
    char *text;
};

struct problems { /* all zero but `file`: none */
    const char *file;
    struct problem list[PROBLEMS_MAX];
    size_t count, lost;
};

/* Line 0: the problem has no line. Control characters in the text appear as \xNN. */
void problems_add(struct problems *problems, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text in double quotes, cut if it is long. Returns `room`. */
const char *problem_quote(char room[QUOTE_ROOM], const char *text);

/* Any at all, kept or not. */
static inline size_t problems_found(const struct problems *problems)
{
    return problems->count + problems->lost;
}

/* Writes "FILE:LINE: text" lines. */
void problems_write(const struct problems *problems, FILE *out);

void problems_free(struct problems *problems);

#endif
