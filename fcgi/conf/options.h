/* The options of all sections and of all types of source. One row, a struct option, says everything
 * about an option. The rows of a type of source are in the type's own file. */
#ifndef WORKERLESS_CONF_OPTIONS_H
#define WORKERLESS_CONF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/option.h"

struct source_type;

enum option_section { SECTION_TOP, SECTION_CACHE, SECTION_SOURCE, SECTION_FRAGMENT, SECTION_PAGE };
#define SECTION_KINDS 5

/* A row, and the sections that may have the option. */
struct option_row {
    const struct option *option;
    enum option_section section;
    const struct source_type *only; /* only in sources of this type; NULL: in every such section */
};

/* The rows are numbered from 0. */
size_t options_count(void);
struct option_row option_row(size_t number);

/* The number of the option of that name in the section. If types of source share the name, it is
 * the option of `type`; or the first one, if `type` is NULL or lacks it. options_count() if the
 * section has no such option. */
size_t option_find(enum option_section section, const struct source_type *type, const char *name);

/* Whether a reload applies a new value of the option; else the old one stays until a restart. The
 * rows of the top level and of the cache section say so. A source, a fragment or a page is replaced
 * as a whole, so all of its options are reloadable. */
bool option_is_reloadable(const struct option_row *row);

/* Frees what the options of the section own in `target`; also those of the type, if it is not
 * NULL. */
void options_free(enum option_section section, const struct source_type *type, void *target);

/* Whether all options of the section have the same values in both structs. */
bool options_equal(enum option_section section, const struct source_type *type, const void *a,
                   const void *b);

/* "at the top level", "in a fragment section". */
const char *section_place(enum option_section section);

/* Writes into `hint` what the user may have meant by an option that the section does not have: a
 * continuation of the sentence, or "". */
#define OPTION_HINT_ROOM 96
void option_hint(enum option_section section, const char *name, char hint[OPTION_HINT_ROOM]);

/* As conf_print_options. */
void options_print(FILE *out);

#endif
