/* The value of an option: its text is checked, and stored in the member that the row names. */
#ifndef WORKERLESS_CONF_OPTION_VALUE_H
#define WORKERLESS_CONF_OPTION_VALUE_H

#include <stdbool.h>

#include "base/option.h"

/* Whether the text is a value of the option. False: what is wrong in `wrong`, in the user's words. */
#define OPTION_WRONG_ROOM 320
bool option_check(const struct option *option, const char *text, char wrong[OPTION_WRONG_ROOM]);

/* Checks the text and stores it in `target`, the struct of the option's section: struct conf, the
 * settings of the type of source, or struct route, which began as zeroes. To be called once, for a
 * list once an element. False: nothing stored, and what is wrong in `wrong`. */
bool option_store(const struct option *option, const char *text, void *target,
                  char wrong[OPTION_WRONG_ROOM]);

/* Frees what the option owns in `target`. */
void option_free(const struct option *option, void *target);

/* Writes the types of source that have an option of that name: "http", "http or queue". */
#define OPTION_TYPES_ROOM 100
void option_types(const char *name, char room[OPTION_TYPES_ROOM]);

/* Writes the words that the value must be one of: "no or yes". NULL: it is no such option. */
const char *option_choices(const struct option *option, char room[OPTION_TYPES_ROOM]);

#endif
