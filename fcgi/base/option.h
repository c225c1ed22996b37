/* One option of the config, as data: its name, the format of its text, and where its value is
 * stored. A room with settings of its own describes them as rows of this struct; conf/ parses,
 * checks and stores the values.
 */
#ifndef WORKERLESS_BASE_OPTION_H
#define WORKERLESS_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
    OPTION_DURATION, /* double, seconds */
    OPTION_RANGE,    /* two doubles, seconds */
    OPTION_SIZE,     /* size_t, bytes */
    OPTION_COUNT,    /* size_t or unsigned; its only word, if any, stands for 0 */
    OPTION_RATE,     /* struct rate */
    OPTION_SHARE,    /* double, 0 to 1 */
    OPTION_MODE,     /* unsigned */
    OPTION_CHOICE,   /* bool or an enum: which one of the words */
    OPTION_STRING,   /* char *, owned */
    OPTION_PATH,     /* the same: a file's path, which is relative to the config, or to the row's
                        directory; "": no file */
    OPTION_LIST,     /* char **, each owned, and their count in the member after it */
    OPTION_TYPE,     /* names a type of source; not stored from here */
    OPTION_SOURCE,   /* names a source section; not stored from here */
    OPTION_FILE,     /* names a file; not stored from here */
    OPTION_INCLUDE,  /* lists files of the config; not stored from here */
};

/* So many in that time. */
struct rate {
    size_t count; /* 0: none is set */
    double seconds;
};

struct option {
    const char *name;
    enum option_kind kind;
    const char *preset;                     /* the default as config text, or NULL */
    const char *min, *max;                  /* likewise; both or none */
    const char *words;                      /* of a choice or a count, with a space between */
    size_t offset, width;                   /* of the member in the struct of its settings */
    bool required;                          /* every section of its kind must have it */
    bool secret;                            /* its value is not shown in messages */
    bool reloadable;                        /* see option_is_reloadable in conf/options.h */
    const char *directory;                  /* of a path, if it is not the config's; else NULL */
    const char *(*check)(const char *text); /* NULL, or what is wrong */
    const char *help;
};

/* Where a row's value is stored. */
#define OPTION_AT(type, member)                                                                    \
    .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)

#endif
