/* The names of what a source does. */
#include "source/tally.h"

#include "source/breaker.h"
#include "source/guard.h"

const char *const source_status_names[SOURCE_STATUSES] = {
    [SOURCE_OK] = "ok",
    [SOURCE_NOT_MODIFIED] = "not_modified",
    [SOURCE_NOT_FOUND] = "not_found",
    [SOURCE_FAILED] = "failed",
    [SOURCE_TIMED_OUT] = "timed_out",
    [SOURCE_BUSY] = "refused",
    [SOURCE_CANCELLED] = "cancelled",
};

const char *const source_breaker_names[] = {
    [BREAKER_CLOSED] = "closed",
    [BREAKER_OPEN] = "open",
    [BREAKER_TRYING] = "trying",
    NULL,
};

struct source_view source_look(const struct source *source)
{
    static const struct source_tally none;
    struct source_view view = {.breaker = source_breaker_names[BREAKER_CLOSED], .tally = &none};
    if (source->guard)
        source_guard_look(source->guard, &view);
    view.name = source->settings->name ? source->settings->name : "";
    view.type = source->type->name;
    view.backlog = source->type->backlog ? source->type->backlog(source) : NULL;
    return view;
}
