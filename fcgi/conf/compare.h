/* Two configs compared, for a reload: what it changes, and what it can't change. */
#ifndef WORKERLESS_CONF_COMPARE_H
#define WORKERLESS_CONF_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

struct conf;
struct source_settings;

/* Whether the sections have the same name, the same values, and the same files. */
bool conf_same_source(const struct source_settings *a, const struct source_settings *b);

/* Exchanges the values of all options that are not reloadable (see option_is_reloadable): `next`
 * gets those in use, and `running` those that were read. Nothing but a later comparison needs the
 * latter. Strings keep their addresses, so who borrows them from the running config borrows them
 * from the next one then. */
void conf_keep_fixed(struct conf *running, struct conf *next);

/* Writes the names of the options that are not reloadable and differ, as "listen, namespace"; "" if
 * there are none. Names for which there is no room are left out. */
#define CONF_FIXED_ROOM 600
void conf_list_fixed(const struct conf *running, const struct conf *next,
                     char names[CONF_FIXED_ROOM]);

/* Writes what changes from one config to the next, one kind of change per line, such as
 * `fragments added: "a", "b"`. Options that are not reloadable are left out. */
void conf_write_changes(const struct conf *running, const struct conf *next, FILE *out);

#endif
