/* The table of options: everything about an option is said in one row of it. */
#ifndef WORKERLESS_CONF_OPTIONS_H
#define WORKERLESS_CONF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "source/source.h"

enum option_section { SECTION_TOP, SECTION_CACHE, SECTION_SOURCE, SECTION_FRAGMENT };
#define SECTION_KINDS 4

enum option_kind {
    OPTION_DURATION, /* double, seconds */
    OPTION_RANGE,    /* two doubles, seconds */
    OPTION_SIZE,     /* size_t, bytes */
    OPTION_COUNT,    /* size_t or unsigned */
    OPTION_MODE,     /* unsigned */
    OPTION_CHOICE,   /* bool or an enum: which one of the words */
    OPTION_STRING,   /* char *, owned */
    OPTION_LIST,     /* char **, each owned, and their count in the member after it */
    OPTION_SOURCE,   /* names a source section; not stored from here */
    OPTION_FILE,     /* names a file; not stored from here */
};

#define FOR_SOURCE(kind) (1U << (kind))

struct option {
    enum option_section section;
    const char *name;
    enum option_kind kind;
    const char *preset;                     /* the default as it would be written, or NULL */
    const char *min, *max;                  /* likewise; both or none */
    const char *words;                      /* the two of OPTION_CHOICE, with a space between */
    size_t offset, width;                   /* of the member in the section's struct */
    bool required;                          /* in each section that may have it */
    bool secret;                            /* its value is not shown in messages */
    unsigned only;                          /* FOR_SOURCE of the types that have it; 0: all */
    const char *(*check)(const char *text); /* NULL, or what is wrong */
    const char *help;
};

#define OPTIONS_MAX       64
#define OPTION_WRONG_ROOM 320

extern const struct option option_table[];
extern const size_t option_count;

/* NULL if the section has no such option. */
const struct option *option_find(enum option_section section, const char *name);

/* Parses the text and stores it in `target`, the struct of the option's section: struct conf,
 * source_settings or route, which began as zeroes. To be called once, for a list once an element.
 * False: nothing stored, and what is wrong in `wrong`, in the user's words. */
bool option_store(const struct option *option, const char *text, void *target,
                  char wrong[OPTION_WRONG_ROOM]);

/* Frees what the section's options own in `target`. */
void options_free(enum option_section section, void *target);

/* The type of source that the option is for, if not for all. */
const char *option_only(const struct option *option);

/* "at the top level", "in a fragment section". */
const char *section_place(enum option_section section);

/* Writes into `hint` what the user may have meant by an option that the section does not have: "",
 * or a continuation of the sentence. */
#define OPTION_HINT_ROOM 96
void option_hint(enum option_section section, const char *name, char hint[OPTION_HINT_ROOM]);

/* As conf_print_options. */
void options_print(FILE *out);

#endif
