/* Runners that report: each sends an UpdateLog at moments that are fixed beforehand, over a connection of its own.
 *
 * `runners HOST:PORT RUNNERS RATE WARM_SECONDS SECONDS ROWS FILE`: RATE reports a second of all runners together, each with
 * ROWS rows, which are FILE (the rows of an UpdateLogRequest in protobuf). An answer must acknowledge all of them. The
 * moments of different runners are random, those of one are as far apart as they can be. Prints "begin" when the first
 * seconds are over and "end" when all is answered, each with how many are until then; then reports that were due between,
 * failed ones, and microseconds: how late reports were sent at p99, and from the moment a report was due to its answer
 * p50, p99, p99.9 and the longest.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define PATIENCE (30 * SECOND)

typedef struct {
    int fd, number, busy, owed;
    int64_t offset, due, owed_due; /* Nanoseconds; what is owed could not be sent because an answer was waited for. */
    uint64_t index;
    size_t have;
    char in[4096];
} Runner;

static Runner *runners;
static char *rows;
static size_t rows_size;
static int rows_count, waiting, failed;
static int64_t period, begin, end, last;
static uint32_t *late, *took;
static size_t late_count, took_count, answered;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static int varint(uint8_t *to, uint64_t value) {
    int size = 0;
    for (; value > 127; value >>= 7)
        to[size++] = value | 128;
    to[size++] = value;
    return size;
}

static void report(Runner *one, int64_t due) {
    uint8_t front[32] = {1 << 3};
    int size = 1 + varint(front + 1, 1000 + one->number);
    front[size++] = 2 << 3;
    size += varint(front + size, one->index);
    char head[640];
    int length = snprintf(head, sizeof head,
        "POST /api/actions/runner.v1.RunnerService/UpdateLog HTTP/1.1\r\nHost: forge.example\r\n"
        "User-Agent: connect-go/1.19.1 (go1.26.8)\r\nContent-Length: %zu\r\nAccept-Encoding: gzip\r\n"
        "Connect-Protocol-Version: 1\r\nContent-Type: application/proto\r\nX-Runner-Token: %040d\r\n"
        "X-Runner-Uuid: 5c0ffee5-0000-4000-8000-%012d\r\n\r\n", size + rows_size, one->number, one->number);
    struct iovec parts[] = {{head, length}, {front, size}, {rows, rows_size}};
    if (writev(one->fd, parts, 3) != (ssize_t)(length + size + rows_size))
        fail("a report cannot be sent");
    one->busy = 1;
    one->due = due;
    waiting++;
}

/* What the answer in `in` acknowledges; -1: it is not whole, -2: it is none. */
static int64_t acknowledged(Runner *one) {
    char *over = strstr(one->in, "\r\n\r\n"), *length = strcasestr(one->in, "\r\ncontent-length:");
    if (!over)
        return -1;
    size_t head = over + 4 - one->in, body = length && length < over ? strtoull(length + 17, NULL, 10) : 0;
    if (one->have < head + body)
        return -1;
    if (strncmp(one->in, "HTTP/1.1 200", 12) || body < 2 || one->have > head + body || one->in[head] != 1 << 3)
        return -2;
    uint64_t value = 0;
    for (size_t i = 1; i < body; i++)
        value |= (uint64_t)(one->in[head + i] & 127) << 7 * (i - 1);
    return value;
}

static void hear(Runner *one) {
    ssize_t got = recv(one->fd, one->in + one->have, sizeof one->in - 1 - one->have, MSG_DONTWAIT);
    if (got <= 0)
        fail("a connection was closed");
    one->in[one->have += got] = 0;
    int64_t said = acknowledged(one), at = now();
    if (said == -1)
        return;
    if (said != (int64_t)one->index + rows_count)
        failed++;
    else if (one->due >= begin && one->due < end)
        took[took_count++] = (at - one->due) / 1000;
    answered++;
    one->index += rows_count;
    one->have = one->busy = 0;
    waiting--;
    if (one->owed) {
        one->owed--;
        report(one, one->owed_due);
        one->owed_due += period;
    }
}

static void due(Runner *one, int64_t moment) {
    if (one->busy) {
        if (!one->owed++)
            one->owed_due = moment;
        return;
    }
    if (moment >= begin)
        late[late_count++] = (now() - moment) / 1000;
    report(one, moment);
}

static int by_offset(const void *one, const void *other) {
    int64_t a = ((const Runner *)one)->offset, b = ((const Runner *)other)->offset;
    return (a > b) - (a < b);
}

static int by_value(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static uint32_t quantile(uint32_t *values, size_t count, double share) {
    return count ? values[(size_t)(share * (count - 1))] : 0;
}

static void connect_all(struct sockaddr_in *place, int count, int epoll) {
    int on = 1;
    for (int i = 0; i < count; i++) {
        Runner *one = runners + i;
        one->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (one->fd < 0 || connect(one->fd, (void *)place, sizeof *place))
            fail("connect");
        setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {EPOLLIN, {.ptr = one}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event);
    }
}

static void run(int count, int epoll) {
    struct epoll_event found[256];
    int64_t start = now() + SECOND / 10, moment;
    int begun = 0;
    begin += start, end += start, last = end + PATIENCE;
    for (size_t n = 0;;) {
        while ((moment = start + (int64_t)(n / count) * period + runners[n % count].offset) <= now() && moment < end)
            due(runners + n++ % count, moment);
        if (!begun && now() >= begin)
            begun = printf("begin %zu\n", answered);
        if ((moment >= end && !waiting) || now() > last)
            return;
        int64_t left = (moment < end ? moment : last) - now();
        struct timespec rest = {left > 0 ? left / SECOND : 0, left > 0 ? left % SECOND : 0};
        int events = epoll_pwait2(epoll, found, 256, &rest, NULL);
        for (int i = 0; i < events; i++)
            hear(found[i].data.ptr);
    }
}

int main(int argc, char **argv) {
    char *colon = argc == 8 ? strrchr(argv[1], ':') : NULL;
    FILE *file = colon ? fopen(argv[7], "rb") : NULL;
    if (!file)
        return 2;
    int count = atoi(argv[2]), rate = atoi(argv[3]), epoll = epoll_create1(0);
    begin = atoi(argv[4]) * SECOND, end = begin + atoi(argv[5]) * SECOND, rows_count = atoi(argv[6]);
    rows = malloc(1 << 24), rows_size = fread(rows, 1, 1 << 24, file);
    period = count * SECOND / rate;
    size_t most = (end - begin) / SECOND * rate + count;
    runners = calloc(count, sizeof *runners), late = calloc(most, sizeof *late), took = calloc(most, sizeof *took);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    *colon = 0;
    inet_pton(AF_INET, argv[1], &place.sin_addr);
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1);
    srandom(1);
    for (int i = 0; i < count; i++)
        runners[i].number = i, runners[i].offset = random() % period;
    qsort(runners, count, sizeof *runners, by_offset);
    connect_all(&place, count, epoll);
    run(count, epoll);
    printf("end %zu\n", answered);
    qsort(late, late_count, sizeof *late, by_value);
    qsort(took, took_count, sizeof *took, by_value);
    printf("%zu %d %u %u %u %u %u\n", took_count, failed + waiting, quantile(late, late_count, .99),
        quantile(took, took_count, .5), quantile(took, took_count, .99), quantile(took, took_count, .999),
        quantile(took, took_count, 1));
    return 0;
}
