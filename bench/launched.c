/* A runner that a gateway launches for one task, as light as one can be: it takes its task and says that it went well.
 *
 * `launched http://HOST:PORT UUID TOKEN FILE`: speaks the runners' service of Forgejo and Gitea in protobuf over one connection, and
 * writes one line to FILE: seconds since 1970 when it began, the number of its task, and the CPU seconds that it used.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *uuid, *token;
static int fd;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int varint(uint8_t *to, uint64_t value) {
    int size = 0;
    for (; value > 127; value >>= 7)
        to[size++] = value | 128;
    to[size++] = value;
    return size;
}

/* The body of the answer in `in`; how long it is. */
static size_t call(const char *name, const uint8_t *body, size_t size, uint8_t *in, size_t room) {
    char head[1024];
    int length = snprintf(head, sizeof head,
        "POST /api/actions/runner.v1.RunnerService/%s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/proto\r\n"
        "x-runner-uuid: %s\r\nx-runner-token: %s\r\nContent-Length: %zu\r\n\r\n", name, uuid, token, size);
    if (write(fd, head, length) != length || write(fd, body, size) != (ssize_t)size)
        fail("write");
    size_t have = 0;
    for (;;) {
        ssize_t got = read(fd, in + have, room - have - 1);
        if (got <= 0)
            fail("read");
        have += got;
        in[have] = 0;
        char *end = strstr((char *)in, "\r\n\r\n");
        if (end == NULL)
            continue;
        if (strncmp((char *)in + 9, "200", 3) != 0) {
            fprintf(stderr, "%s: %.*s\n", name, (int)(end - (char *)in), in);
            exit(1);
        }
        char *told = strcasestr((char *)in, "content-length:");
        size_t whole = told ? strtoul(told + 15, NULL, 10) : 0, before = end + 4 - (char *)in;
        if (have - before >= whole) {
            memmove(in, in + before, whole);
            return whole;
        }
    }
}

int main(int argc, char **argv) {
    static uint8_t in[1 << 20];
    struct timespec begun;
    clock_gettime(CLOCK_REALTIME, &begun);
    if (argc != 5)
        return 2;
    char *host = argv[1] + strlen("http://"), *colon = strrchr(host, ':');
    *colon = 0;
    uuid = argv[2], token = argv[3];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    inet_pton(AF_INET, host, &address.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    size_t size = call("FetchTask", NULL, 0, in, sizeof in);
    /* The first field is the task, and the first of its fields its number. */
    size_t at = 1;
    if (size < 4 || in[0] != 0x0a)
        fail("no task");
    while (in[at++] & 0x80)
        ;
    if (in[at++] != 0x08)
        fail("no number");
    uint64_t id = 0;
    for (int shift = 0;; shift += 7) {
        id |= (uint64_t)(in[at] & 0x7f) << shift;
        if (!(in[at++] & 0x80))
            break;
    }
    /* UpdateLog: task_id, index 0, no_more; UpdateTask: state with id and the result 1, success. */
    uint8_t out[64];
    int length = 0;
    out[length++] = 0x08, length += varint(out + length, id);
    out[length++] = 0x20, out[length++] = 1;
    call("UpdateLog", out, length, in, sizeof in);
    uint8_t state[32];
    int inner = 0;
    state[inner++] = 0x08, inner += varint(state + inner, id);
    state[inner++] = 0x10, state[inner++] = 1;
    length = 0;
    out[length++] = 0x0a, out[length++] = inner;
    memcpy(out + length, state, inner);
    call("UpdateTask", out, length + inner, in, sizeof in);
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    char line[128];
    int written = snprintf(line, sizeof line, "%ld.%09ld %lu %ld.%09ld\n", (long)begun.tv_sec, begun.tv_nsec,
        (unsigned long)id, (long)used.tv_sec, used.tv_nsec);
    FILE *file = fopen(argv[4], "a");
    if (file == NULL || fwrite(line, 1, written, file) != (size_t)written || fclose(file) != 0)
        fail(argv[4]);
    return 0;
}
