/* The words of a command, in the form in which redis_server_send takes them. Pure. */
#ifndef WORKERLESS_CACHE_ARGUMENTS_H
#define WORKERLESS_CACHE_ARGUMENTS_H

#include "base/check.h"
#include "base/slice.h"

#define ARGUMENTS_MAX 10

struct arguments { /* all zero at first; the texts are borrowed */
    int count;
    const char *words[ARGUMENTS_MAX];
    size_t lens[ARGUMENTS_MAX];
};

static inline void arguments_add(struct arguments *arguments, struct slice word)
{
    check(arguments->count < ARGUMENTS_MAX);
    arguments->words[arguments->count] = word.data;
    arguments->lens[arguments->count++] = word.len;
}

/* The second and the third may be NULL. */
static inline void arguments_add_words(struct arguments *arguments, const char *first,
                                       const char *second, const char *third)
{
    const char *words[] = {first, second, third};
    for (int i = 0; i < 3 && words[i]; i++)
        arguments_add(arguments, slice_of(words[i]));
}

#endif
