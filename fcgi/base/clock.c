/* The hand of the clock that is held. */
#include "base/clock.h"

int64_t clock_held_ms;
