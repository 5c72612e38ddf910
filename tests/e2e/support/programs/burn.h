/* Busy work that lasts for a given CPU time, whatever the speed of the machine. */
#include <time.h>

static inline void burn_ms(long ms) {
    struct timespec now;
    do {
        for (volatile int i = 0; i < 10000; i++)
            ;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while (now.tv_sec * 1000L + now.tv_nsec / 1000000L < ms);
}
