/* The HTML that a route shows if its source fails. */
#ifndef WORKERLESS_CONF_FALLBACK_H
#define WORKERLESS_CONF_FALLBACK_H

struct problems;
struct route;

/* Sets the route's fallback to the file that the option in that line names. If the file can't be
 * read, that is reported, and the fallback's data stays NULL. Unbalanced HTML is reported, too: as
 * an error if it would do harm even within a template, otherwise as a warning. */
void fallback_read(struct route *route, struct problems *problems, int line, const char *name);

#endif
