/* A set of templates that include each other by name. Pure: the caller reads the files.
 *
 *     set = templates_new();
 *     templates_add(set, SLICE("card.html"), …);
 *     while (templates_next_unknown(set, &name, &place))
 *         add it, or say that it is missing
 *
 * After that, all partials and parents that the templates name are known. Dynamic names, which are
 * found only while rendering, are looked up in the set as well; a template that the set does not have
 * is left out of the result.
 *
 * A name stands for the template of that name or, if there is none, of that name with .html or
 * .mustache at its end. */
#ifndef WORKERLESS_RENDER_TEMPLATES_H
#define WORKERLESS_RENDER_TEMPLATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "render/mustache.h"

#define TEMPLATES_MAX     1000 /* of a set, with those that are missing */
#define TEMPLATE_NAME_MAX 255  /* bytes */

/* What may have to be added to a name, in the order in which it is tried. */
#define TEMPLATE_ENDINGS    3
#define TEMPLATE_ENDING_MAX 9 /* bytes of one */
extern const struct slice template_endings[TEMPLATE_ENDINGS];

struct templates;

/* Returns an empty set, owned, or NULL when out of memory. */
struct templates *templates_new(void);

/* Frees the set and its templates; NULL is accepted. */
void templates_free(struct templates *set);

/* Whether a file of that name can only be in a directory of templates or below it: names with
 * slashes between them, none of which is empty or begins with a dot, and no control character. */
bool template_name_is_safe(struct slice name);

/* Compiles the text and adds it; `file` is for messages. Returns the template, which belongs to the
 * set. NULL: *error is set, and the set is as before. If the set has the name already, its template
 * stays, and is returned; NULL then means that it is missing, and *error says so. */
const struct mustache *templates_add(struct templates *set, struct slice name, const char *file,
                                     struct slice text, struct mustache_error *error);

/* Notes that there is no template of that name, so that templates_next_unknown goes on. Returns false
 * when out of memory, if there are too many or if the name is too long: then it can't go on. */
bool templates_add_missing(struct templates *set, struct slice name);

/* Finds a name in the templates that is not known yet, and the place where it stands. Returns false if
 * there is none. The name is borrowed from the template that has it. */
bool templates_next_unknown(struct templates *set, struct slice *name,
                            struct mustache_place *place);

/* The template of that name, or NULL. */
const struct mustache *templates_get(const struct templates *set, struct slice name);

/* Whether any of them has dynamic names. */
bool templates_are_dynamic(const struct templates *set);

/* A digest of the texts that make the result of that template: its own, and those of the partials and
 * parents in it; of all texts, if some of their names are dynamic. It is the same in all processes. */
uint64_t templates_digest(struct templates *set, struct slice name);

/* A mustache_find_fn whose arg is the set. */
enum mustache_lookup templates_find(void *arg, struct slice name, const struct mustache **found,
                                    const char **why);

#endif
