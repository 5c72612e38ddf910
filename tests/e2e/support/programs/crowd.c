/* crowd COUNT: start so many processes that only wait, say how many there are, and end all of them at the end of stdin.
   They share their memory, so that thousands fit into a small machine. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK 4096

static int wait_for_ever(void *nothing) {
    for (;;)
        pause();
    return nothing != 0;
}

int main(int count, char **words) {
    long wanted = count == 2 ? atol(words[1]) : 0, started = 0;
    char *stacks = mmap(0, (size_t)(wanted + 1) * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t *children = calloc((size_t)wanted + 1, sizeof *children);
    char byte;
    if (stacks == MAP_FAILED || !children)
        return 1;
    while (started < wanted) {
        pid_t child = clone(wait_for_ever, stacks + (started + 1) * STACK, CLONE_VM | SIGCHLD, 0);
        if (child < 0)
            break;
        children[started++] = child;
    }
    printf("%ld\n", started);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    for (long i = 0; i < started; i++)
        kill(children[i], SIGKILL);
    for (long i = 0; i < started; i++)
        waitpid(children[i], 0, 0);
    return 0;
}
