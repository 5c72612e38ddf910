/* Four children of 150 ms of CPU each whose parent ignores SIGCHLD: the kernel reaps them and tells nobody. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "burn.h"

int main(void) {
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            burn_ms(150);
            _exit(0);
        }
    while (wait(0) > 0)
        ;
    return 0;
}
