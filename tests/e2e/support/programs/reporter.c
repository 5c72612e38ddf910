/* reporter FILE USER COMMAND...: run a command under a user id, reap it and every orphan that it leaves, and write what
   getrusage(2) says of all of them and of this process: microseconds of CPU time, and how many were reaped here. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long long microseconds(int who) {
    struct rusage use;
    getrusage(who, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000LL + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

int main(int count, char **words) {
    int status, status_of_command = 0, reaped = 0;
    FILE *file = count > 3 ? fopen(words[1], "w") : 0;
    if (!file || prctl(PR_SET_CHILD_SUBREAPER, 1) || setuid((uid_t)atoi(words[2])))
        return 125;
    pid_t ended, command = fork();
    if (command == 0) {
        execvp(words[3], words + 3);
        _exit(127);
    }
    while ((ended = wait(&status)) > 0) {
        reaped++;
        if (ended == command)
            status_of_command = status;
    }
    long long used = microseconds(RUSAGE_CHILDREN) + microseconds(RUSAGE_SELF);
    fprintf(file, "{\"microseconds\": %lld, \"reaped\": %d}\n", used, reaped);
    fclose(file);
    return WIFSIGNALED(status_of_command) ? 128 + WTERMSIG(status_of_command) : WEXITSTATUS(status_of_command);
}
