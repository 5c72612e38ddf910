/* Four double-forked daemons of 300 ms of CPU each. Their parents exit at once; the command outlives them: it waits for
   the end of a pipe whose other side only they hold. */
#include <sys/wait.h>
#include <unistd.h>
#include "burn.h"

static void start_daemon(void) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            burn_ms(300);
        _exit(0);
    }
    wait(0);
}

int main(void) {
    int ends[2];
    char byte;
    if (pipe(ends))
        return 1;
    for (int i = 0; i < 4; i++)
        start_daemon();
    close(ends[1]);
    return read(ends[0], &byte, 1) == 0 ? 0 : 1;
}
