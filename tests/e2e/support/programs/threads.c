/* Four threads that burn 200, 400, 600 and 800 ms of CPU: some end long before the process does. */
#include <pthread.h>
#include <stdint.h>
#include "burn.h"

static void *work(void *ms) {
    burn_ms((long)(intptr_t)ms);
    return 0;
}

int main(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], 0, work, (void *)(intptr_t)(200 * (i + 1))))
            return 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    return 0;
}
