/* The config file's syntax: text -> sections and values, each with its line. Knows what options
 * there are, but not what their values mean. */
#ifndef WORKERLESS_CONF_SYNTAX_H
#define WORKERLESS_CONF_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/options.h"
#include "conf/problems.h"

struct value {
    size_t option;  /* its number; where types of source share its name, of the first */
    size_t section; /* index into the document's */
    int line;
    bool begins; /* the first of a list, or no list at all */
    char *text;
};

struct section {
    enum option_section kind;
    char *title; /* NULL for the top level and cache */
    int line;    /* where it begins */
};

struct document { /* in the file's order, but for sections 0, the top level, and 1, cache */
    struct section *sections;
    size_t section_count;
    struct value *values;
    size_t value_count;
    bool whole; /* the file was understood to its end */
};

/* Parses a text from scan_prepare. What is wrong goes to `problems`; the document then holds what
 * was understood. The caller frees it with document_free. */
void syntax_parse(const char *text, int lines, struct document *document,
                  struct problems *problems);

/* May be called twice. */
void document_free(struct document *document);

#endif
