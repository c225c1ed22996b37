/* Tracepoints for bpftrace, perf and SystemTap: static probes of user space (USDT).
 *
 * Each is one nop in the code and a note in the binary that says where it is and where its arguments
 * are. Without <sys/sdt.h> (systemtap-sdt-dev) there is nothing. Arguments are integers and
 * pointers; a slice is two of them, its bytes and its length. Keep them free of calls: they are
 * evaluated even if nobody traces.
 *
 *     request_begun    path, length                 any request that was read
 *     request_parked   key, length                  it waits for a flight
 *     request_settled  route, outcome               as in workerless_requests_total, but without
 *                                                   the fragments of streams
 *     lookup           key, length                  memory has nothing: Redis is asked, if there is one
 *     lease_claimed    key, length                  the lease is ours
 *     lease_theirs     key, length, holder, length  somebody else has it: see cache/holder.h
 *     lease_lost       key, length                  it was ours: expired, or purged
 *     call_begun       key, length, source          a source is called
 *     call_ended       key, length, source, result  as in workerless_source_calls_total
 *     stored           key, length, bytes           Redis has stored a result
 *     woken            key, length                  Redis has reported a change that a flight waits for
 *
 * Routes, outcomes, sources and results are terminated texts. (cache/probes.h is something else: what
 * we try on Redis.)
 */
#ifndef WORKERLESS_BASE_USDT_H
#define WORKERLESS_BASE_USDT_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef HAVE_SYS_SDT_H
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define USDT(name, ...) STAP_PROBEV(workerless, name, __VA_ARGS__)
#else
#define USDT(name, ...) ((void)0)
#endif

#define USDT_SLICE(slice) (slice).data, (slice).len

#endif
