/* Responses as values. */
#ifndef WORKERLESS_UNIT_RESPONSES_H
#define WORKERLESS_UNIT_RESPONSES_H

#include "web/response.h"

static inline struct response response_of_entry(struct entry *entry)
{
    struct response response;
    response_set_entry(&response, entry);
    return response;
}

#endif
