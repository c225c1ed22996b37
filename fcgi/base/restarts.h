/* When a process that has ended is started again, and what is said of its end. Pure. */
#ifndef WORKERLESS_BASE_RESTARTS_H
#define WORKERLESS_BASE_RESTARTS_H

#define RESTARTS_SOON_S  1.0 /* a process that lived shorter than this ended at once */
#define RESTARTS_FIRST_S 0.1
#define RESTARTS_MOST_S  10.0

/* Seconds until the restart. `*failures` is how often in a row it has ended at once before, and is
 * updated. After the first such end, and after any other, it is 0; then it doubles each time, from
 * RESTARTS_FIRST_S to RESTARTS_MOST_S. */
double restarts_delay(unsigned *failures, double lived_s);

/* Writes how it ended, by its status from waitpid(2): "was killed by SIGKILL". */
#define RESTARTS_ROOM 128
void restarts_describe(char out[RESTARTS_ROOM], int status);

#endif
