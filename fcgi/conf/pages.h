/* Whole pages: their paths and skeletons. */
#ifndef WORKERLESS_CONF_PAGES_H
#define WORKERLESS_CONF_PAGES_H

struct conf;
struct page;
struct problems;

/* Checks the page's path, which stands in the line `line`, and reads its file, whose path is set and
 * stands in the line `file_line`; 0: it is missing, or invalid. `called` is the name of the section in
 * messages. */
void pages_build(struct page *page, const char *called, int line, int file_line,
                 struct problems *problems);

/* Checks the page against the routes and limits. Call it after all sections were built. */
void pages_check(const struct conf *conf, const struct page *page, const char *called, int line,
                 struct problems *problems);

#endif
