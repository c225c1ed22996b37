/* The config file's syntax: text -> sections and values, each with its line. It knows which options
 * exist, but not what their values mean. */
#ifndef WORKERLESS_CONF_SYNTAX_H
#define WORKERLESS_CONF_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/options.h"
#include "conf/problems.h"

enum value_origin {
    VALUE_WRITTEN,    /* its text is that of the config, with its environment variables */
    VALUE_FROM_FILE,  /* some of its text is from a file, and may be secret */
    VALUE_UNREADABLE, /* a file could not be read, which has been reported */
};

struct value {
    size_t option;  /* its number; if types of source share the name, that of the first */
    size_t section; /* index into the document's */
    size_t after;   /* how many of its sections began before the value, or with it */
    int line;
    bool begins; /* the first of a list, or not in a list */
    enum value_origin origin;
    char *text;
};

struct section {
    enum option_section kind;
    char *title; /* NULL for the top level and cache */
    int line;    /* where it begins */
};

struct document { /* in the order of the text, except sections 0 (top level) and 1 (cache) */
    struct section *sections;
    size_t section_count;
    struct value *values;
    size_t value_count;
    bool whole; /* all of it was parsed */
};

/* Parses a text from scan_prepare, with the same numbers of lines. Errors go to `problems`; the
 * document then has what could be parsed. The caller frees it with document_free. */
void syntax_parse(const char *text, int before, int last, struct document *document,
                  struct problems *problems);

/* Append a section, or a value. The document takes its title or text; if they return false, out of
 * memory, it does not. */
bool document_add_section(struct document *document, struct section section);
bool document_add_value(struct document *document, struct value value);

/* May be called twice. */
void document_free(struct document *document);

#endif
