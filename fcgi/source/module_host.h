/* The functions that modules call: those of struct workerless_host. They accept any handle, even that
 * of a call that has ended or of a source that is closed, and notice if another thread calls them.
 *
 *     module --> done --> handle --> ticket --> complete of its port
 *                           '--> ended, unknown: logged and counted
 *
 *     another thread --> done --> noted --async--> complete, as failed
 */
#ifndef WORKERLESS_SOURCE_MODULE_HOST_H
#define WORKERLESS_SOURCE_MODULE_HOST_H

#include <stdbool.h>

#include <workerless/source.h>

#include "base/log.h"
#include "source/module_handles.h"

#define MODULE_LEVELS 4

struct ev_loop;
struct module_port;

/* A call that a module can complete; embedded in the call. */
struct module_ticket {
    struct module_port *port;
    uint64_t id; /* for the module */
};

/* The module has completed the call, whose ticket has ended. `result` is borrowed; if it is NULL,
 * `problem` says why: another thread has completed the call, or there is no result. The callee must
 * not call the module. */
typedef void module_complete_fn(struct module_ticket *ticket,
                                const struct workerless_result *result, const char *problem);

/* A source, seen from its module; embedded in the source. */
struct module_port {
    uint64_t id;
    struct slice source; /* its name */
    size_t result_size;  /* of struct workerless_result in the module */
    bool is_untold;      /* the module is not told that a call has ended: it has no cancel */
    module_complete_fn *complete;
    struct log_limit lines[MODULE_LEVELS]; /* of the module's own messages */
};

/* All modules get this. */
extern const struct workerless_host module_host;

/* The members of `port` but its id are set. Returns false when out of memory. The calling thread is
 * that of the loop, which is the same for all ports. */
bool module_port_open(struct module_port *port, struct ev_loop *loop);

/* No ticket of the port is open. May be called for a port that is not open. */
void module_port_close(struct module_port *port, struct ev_loop *loop);

/* Makes a ticket for a call. Returns false when out of memory. */
bool module_ticket_open(struct module_ticket *ticket, struct module_port *port,
                        struct slice fragment);

/* Ends a ticket that has not been completed. */
void module_ticket_end(struct module_ticket *ticket, enum handle_state how);

#endif
