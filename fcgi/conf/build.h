/* From the document to the config. */
#ifndef WORKERLESS_CONF_BUILD_H
#define WORKERLESS_CONF_BUILD_H

struct conf;
struct document;
struct problems;

/* Sets everything in the config, which is zero but for its file, as the document says. Errors at
 * its end are reported on `last_line`. */
void build(struct conf *conf, const struct document *document, int last_line,
           struct problems *problems);

#endif
