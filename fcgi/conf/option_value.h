/* The value of an option: checks its text, and stores it in the member that the row names. */
#ifndef WORKERLESS_CONF_OPTION_VALUE_H
#define WORKERLESS_CONF_OPTION_VALUE_H

#include <stdbool.h>

#include "base/option.h"

/* Whether the text is a valid value of the option. If not, `wrong` is an error message for the
 * user. */
#define OPTION_WRONG_ROOM 320
bool option_check(const struct option *option, const char *text, char wrong[OPTION_WRONG_ROOM]);

/* Checks the text and stores it in `target`, the struct of the option's section: struct conf, the
 * settings of the type of source, or struct route; all zero at first. Call it once; for a list,
 * once for each element. Returns false with `wrong`, and stores nothing, if the text is not
 * valid. */
bool option_store(const struct option *option, const char *text, void *target,
                  char wrong[OPTION_WRONG_ROOM]);

/* Whether the option has the same value in both structs. Options that are not stored in their row's
 * member have; their section compares them. */
bool option_equal(const struct option *option, const void *a, const void *b);

/* Exchanges the values of the option in both structs. */
void option_swap(const struct option *option, void *a, void *b);

/* Frees what the option owns in `target`. */
void option_free(const struct option *option, void *target);

/* Writes the types of source that have an option of that name: "http", "http or queue". */
#define OPTION_TYPES_ROOM 100
void option_types(const char *name, char room[OPTION_TYPES_ROOM]);

/* Writes the words that are allowed as the value: "no or yes". Returns NULL for other kinds. */
const char *option_choices(const struct option *option, char room[OPTION_TYPES_ROOM]);

#endif
