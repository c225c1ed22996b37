/* Whole pages: their paths and skeletons. */
#ifndef WORKERLESS_CONF_PAGES_H
#define WORKERLESS_CONF_PAGES_H

struct conf;
struct page;
struct problems;

/* Checks the page's path, which is in that line of the config, and reads its skeleton from its
 * file. `file_line` is where the file is named; 0: it is not, or the name is invalid. `called` is
 * the section in messages, such as: page "/". */
void pages_build(struct page *page, const char *called, int line, int file_line,
                 struct problems *problems);

/* Checks the placeholders of the page, if it has a skeleton, against fragment sections and limits.
 * Call it after all sections have been built. `line` is where the file is named. */
void pages_check(const struct conf *conf, const struct page *page, const char *called, int line,
                 struct problems *problems);

#endif
