/* enter FILE DIRECTORY... -- COMMAND...: move into each cgroup, write to FILE how many microseconds of CPU time were used
   before the last of them, and become the command. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int enter(const char *directory) {
    char path[4096];
    snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    FILE *file = fopen(path, "w");
    return file && fputs("0", file) >= 0 && fclose(file) == 0;
}

int main(int count, char **words) {
    struct rusage use;
    int at = 2;
    FILE *said = count > 4 ? fopen(words[1], "w") : 0;
    if (!said)
        return 125;
    for (; at + 1 < count && strcmp(words[at + 1], "--"); at++)
        if (!enter(words[at]))
            return 125;
    getrusage(RUSAGE_SELF, &use);
    if (!enter(words[at]))
        return 125;
    fprintf(said, "%lld\n", (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000LL + use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    fclose(said);
    execvp(words[at + 2], words + at + 2);
    return 127;
}
