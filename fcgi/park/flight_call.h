/* The part of a flight that begins with the call of its source. */
#ifndef WORKERLESS_PARK_FLIGHT_CALL_H
#define WORKERLESS_PARK_FLIGHT_CALL_H

#include <stdbool.h>

#include "park/flight_state.h"

struct lease;

/* Calls the source of a solo flight. */
void flight_go_solo(struct flight *flight);

/* Its source does not count any more. If it has been called, the flight goes on for its waiters
 * only, and its lease is released; if it needs the lease, it is cancelled. */
void flight_supersede(struct flight *flight);

/* From now on a request waits for the flight. */
void flight_await(struct flight *flight);

/* --- for flight.c --- */

/* A flight without waiters is not started while its source is busy; otherwise one client could fill
 * the source's queue with new names, without ever waiting. Returns true if it has landed. */
bool flight_declined(struct flight *flight);

/* Calls the source. Takes the lease, which is NULL if Redis can't be asked for one. */
void flight_generate(struct flight *flight, struct lease *lease);

/* The present waiters still get the result, but no request joins, and the result is not stored. */
void flight_detach(struct flight *flight);

/* Asks the cache whether another process has written the value, or whether the key was purged. */
void flight_check(struct flight *flight);

#endif
