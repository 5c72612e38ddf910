/*
 * The floor of a tick: the reads that a tick makes, and nothing done with what was read.
 *
 * `tick_floor list|nolist FILE...` keeps a descriptor of each FILE. For each number N on stdin it reads all of
 * them N times, with one listing of /proc before each time if `list`, and answers the CPU seconds of one time.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[65536];

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static int list(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}

int main(int argc, char **argv) {
    int lists = argc > 1 && strcmp(argv[1], "list") == 0;
    int files = argc - 2;
    int *fds = calloc(files, sizeof *fds);
    for (int i = 0; i < files; i++)
        if ((fds[i] = open(argv[i + 2], O_RDONLY)) < 0) {
            perror(argv[i + 2]);
            return 1;
        }
    int times;
    long bytes = 0;
    while (scanf("%d", &times) == 1) {
        double begun = cpu_seconds();
        for (int tick = 0; tick < times; tick++) {
            if (lists)
                bytes += list("/proc");
            for (int i = 0; i < files; i++)
                bytes += pread(fds[i], buffer, sizeof buffer, 0);
        }
        printf("%.9f\n", (cpu_seconds() - begun) / times);
        fflush(stdout);
    }
    return bytes < 0;
}
