/* The options of all sections, and of all types of source: everything about an option is said in one
 * row, which is a struct option. Those of a type of source stand in the type's own file. */
#ifndef WORKERLESS_CONF_OPTIONS_H
#define WORKERLESS_CONF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/option.h"

struct source_type;

enum option_section { SECTION_TOP, SECTION_CACHE, SECTION_SOURCE, SECTION_FRAGMENT };
#define SECTION_KINDS 4

/* A row, and which sections may have the option. */
struct option_row {
    const struct option *option;
    enum option_section section;
    const struct source_type *only; /* in sources of this type; NULL: in each such section */
};

/* The rows are numbered from 0. */
size_t options_count(void);
struct option_row option_row(size_t number);

/* The number of the option of that name in the section, and where types of source share the name, of
 * the type's own (NULL or a type without it: of the first that has it). options_count() if the
 * section has no such option. */
size_t option_find(enum option_section section, const struct source_type *type, const char *name);

/* Frees what the options of the section, and those of the type if one is given, own in `target`. */
void options_free(enum option_section section, const struct source_type *type, void *target);

/* "at the top level", "in a fragment section". */
const char *section_place(enum option_section section);

/* Writes into `hint` what the user may have meant by an option that the section does not have: "",
 * or a continuation of the sentence. */
#define OPTION_HINT_ROOM 96
void option_hint(enum option_section section, const char *name, char hint[OPTION_HINT_ROOM]);

/* As conf_print_options. */
void options_print(FILE *out);

#endif
