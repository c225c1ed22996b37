/* One option of the config, as data: its name, how its text is read, and where its value goes. A room
 * that has settings of its own describes them by rows of this; conf/ parses, checks and stores.
 */
#ifndef WORKERLESS_BASE_OPTION_H
#define WORKERLESS_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
    OPTION_DURATION, /* double, seconds */
    OPTION_RANGE,    /* two doubles, seconds */
    OPTION_SIZE,     /* size_t, bytes */
    OPTION_COUNT,    /* size_t or unsigned */
    OPTION_MODE,     /* unsigned */
    OPTION_CHOICE,   /* bool or an enum: which one of the words */
    OPTION_STRING,   /* char *, owned */
    OPTION_LIST,     /* char **, each owned, and their count in the member after it */
    OPTION_TYPE,     /* names a type of source; not stored from here */
    OPTION_SOURCE,   /* names a source section; not stored from here */
    OPTION_FILE,     /* names a file; not stored from here */
};

struct option {
    const char *name;
    enum option_kind kind;
    const char *preset;                     /* the default as it would be written, or NULL */
    const char *min, *max;                  /* likewise; both or none */
    const char *words;                      /* of OPTION_CHOICE, with a space between */
    size_t offset, width;                   /* of the member in the struct of its settings */
    bool required;                          /* in each section that may have it */
    bool secret;                            /* its value is not shown in messages */
    const char *(*check)(const char *text); /* NULL, or what is wrong */
    const char *help;
};

/* Where the value goes, in a row. */
#define OPTION_AT(type, member)                                                                    \
    .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)

#endif
