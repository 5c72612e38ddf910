/* Makes containers of processes that do a little work when they are told to.
 *
 * `fleet PROCESSES [net]` reads a line for each container, the directories of its cgroups with blanks between, and forks
 * so many processes into them; with `net` in a network namespace of their own. Prints "ready"; then for each line of
 * stdin the first process of every container uses CPU time and memory, and "done" is printed. Ends with stdin.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define WORK_BYTES (1 << 20)

static char *held;

static void work(int signal_number) {
    (void)signal_number;
    if (held) {
        munmap(held, WORK_BYTES);
        held = NULL;
    } else {
        held = mmap(NULL, WORK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (held != MAP_FAILED)
            memset(held, 1, WORK_BYTES);
        else
            held = NULL;
    }
}

static void idle(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, work);
    for (;;)
        pause();
}

static void enter(char *directories) {
    for (char *word = strtok(directories, " \n"); word; word = strtok(NULL, " \n")) {
        char path[512];
        snprintf(path, sizeof path, "%s/cgroup.procs", word);
        int fd = open(path, O_WRONLY);
        if (fd < 0 || write(fd, "0", 1) != 1) {
            perror(path);
            _exit(1);
        }
        close(fd);
    }
}

int main(int argc, char **argv) {
    int processes = argc > 1 ? atoi(argv[1]) : 1, network = argc > 2, count = 0, room = 0;
    pid_t *first = NULL;
    char line[8192];
    signal(SIGUSR1, SIG_IGN); /* Until a process is ready to work. */
    while (fgets(line, sizeof line, stdin) && line[0] != '\n') {
        pid_t pid = fork();
        if (pid < 0) {
            perror("fork");
            return 1;
        }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            enter(line);
            if (network && unshare(CLONE_NEWNET)) {
                perror("unshare");
                _exit(1);
            }
            for (int i = 1; i < processes; i++)
                if (fork() == 0)
                    idle();
            idle();
        }
        if (count == room)
            first = realloc(first, (room = room * 2 + 16) * sizeof *first);
        first[count++] = pid;
    }
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        for (int i = 0; i < count; i++)
            kill(first[i], SIGUSR1);
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
