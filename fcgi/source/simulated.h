/* The settings of the simulated source. */
#ifndef WORKERLESS_SOURCE_SIMULATED_H
#define WORKERLESS_SOURCE_SIMULATED_H

#include "source/source.h"

struct simulated_settings {
    struct source_settings settings;
    double delay_min, delay_max; /* seconds */
};

#endif
