/* The option `vary` of a fragment section: the inputs that its fragments depend on. Pure. */
#ifndef WORKERLESS_CONF_VARY_H
#define WORKERLESS_CONF_VARY_H

#define VARY_WRONG_ROOM 240

struct route;

/* Checks one entry, as the check of struct option. */
const char *vary_check(const char *text);

/* Makes the route's inputs, and its Vary header, of its entries, each of which is valid. Checks
 * what concerns several of them, or other options. Returns NULL; or the name of the option at
 * fault, with an error message for the user in `wrong`. */
const char *vary_build(struct route *route, char wrong[VARY_WRONG_ROOM]);

/* Frees what vary_build has made. */
void vary_free(struct route *route);

#endif
