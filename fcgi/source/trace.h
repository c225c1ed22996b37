/* What identifies a request on its way through several services: X-Request-Id, and traceparent of
 * W3C Trace Context. A call gets those of the request that it is made for. If one is absent or
 * malformed, the call gets a new one. Pure. */
#ifndef WORKERLESS_SOURCE_TRACE_H
#define WORKERLESS_SOURCE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define TRACE_ID_MAX 127 /* bytes of an X-Request-Id; a longer one is malformed */

/* Header fields, terminated. */
#define TRACE_ID_ROOM     (sizeof "X-Request-Id: " + TRACE_ID_MAX)
#define TRACE_PARENT_ROOM (sizeof "traceparent: " + 55)

/* Finds both in the variables of a request, as PARAMS has them; empty: absent or malformed. */
void trace_find(struct slice variables, struct slice *id, struct slice *parent);

/* Writes only these two variables, in the same form. Returns their length. */
#define TRACE_VARIABLES_MAX (2 * 2 + 17 + TRACE_ID_MAX + 16 + 55)
size_t trace_keep(struct slice variables, char out[TRACE_VARIABLES_MAX]);

/* Writes the field with the id of the request, or with a new one of 32 hexadecimal digits. */
void trace_write_id(struct slice id, uint64_t *random, char out[TRACE_ID_ROOM]);

/* Writes the field with the request's own traceparent: we have no span of our own, and a new parent
 * would be one that nobody knows. A later version is cut to version 00 (W3C Trace Context 3.2). A
 * new one is marked as sampled: otherwise no trace would ever begin here. */
void trace_write_parent(struct slice parent, uint64_t *random, char out[TRACE_PARENT_ROOM]);

#endif
