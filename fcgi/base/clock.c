/* The fleet's clock is the time since boot and an offset. */
#include "base/clock.h"

#define SLACK_US 10000 /* difference of two clocks up to which ours is not moved */

int64_t clock_held_ms;
int64_t clock_offset_us;

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A constructor, so that the clock is right before any first use. */
__attribute__((constructor)) static void clock_start(void)
{
    clock_offset_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_BOOTTIME);
}

int64_t clock_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

bool clock_follow(int64_t theirs_us, int64_t asked_us, int64_t answered_us)
{
    int64_t least_us = theirs_us - answered_us, most_us = theirs_us - asked_us;
    if (clock_offset_us >= least_us - SLACK_US && clock_offset_us <= most_us + SLACK_US)
        return false;
    clock_offset_us = (least_us + most_us) / 2;
    return true;
}

int64_t clock_wall_ahead_ms(void)
{
    return (read_us(CLOCK_REALTIME) - read_us(CLOCK_BOOTTIME) - clock_offset_us) / 1000;
}
