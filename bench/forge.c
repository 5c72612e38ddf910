/* A forge that costs next to nothing, so that what stands before it can be measured on the same machine.
 *
 * `forge HOST:PORT`: an UpdateLog is answered with the index after its last row, a GET of /bytes/N with N bytes, all else
 * with nothing once its body has come. Bodies have a length. Connections are kept.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (1 << 20)
#define ROOM (1 << 16)

typedef struct {
    int fd;
    size_t have;       /* Bytes in `in`. */
    long long discard; /* Of a body that is not kept; -1: no request is under way. */
    long long give;    /* Bytes of an answer's body that are left to send. */
    char in[ROOM];
} Connection;

static char piece[PIECE];
static int epoll;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void leave(Connection *one) {
    close(one->fd);
    free(one);
}

static uint64_t varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

/* What an UpdateLogRequest of these bytes is answered with: its index (field 2) and its rows (field 3). */
static uint64_t acknowledged(const uint8_t *at, const uint8_t *end) {
    uint64_t index = 0, rows = 0;
    while (at < end) {
        uint64_t tag = varint(&at, end), value = varint(&at, end);
        if (tag == (2 << 3))
            index = value;
        if (tag == (3 << 3 | 2))
            rows++;
        if ((tag & 7) == 2)
            at += value;
    }
    return index + rows;
}

static void answer(Connection *one, const char *type, const uint8_t *body, long long length) {
    char said[256];
    int size = snprintf(said, sizeof said, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %lld\r\n\r\n", type, length);
    if (body) {
        memcpy(said + size, body, length);
        size += length;
    }
    if (send(one->fd, said, size, MSG_NOSIGNAL) != size)
        one->give = 0;
}

static void answer_log(Connection *one, const uint8_t *body, size_t length) {
    uint8_t said[11] = {1 << 3};
    int size = 1;
    uint64_t left = acknowledged(body, body + length);
    for (; left > 127; left >>= 7)
        said[size++] = left | 128;
    said[size++] = left;
    answer(one, "application/proto", said, size);
}

/* Give as much as is taken now; 0 when the other side has gone. */
static int give(Connection *one) {
    while (one->give > 0) {
        ssize_t sent = send(one->fd, piece, one->give < PIECE ? one->give : PIECE, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return 0;
        if (sent < 0)
            break;
        one->give -= sent;
    }
    struct epoll_event event = {EPOLLIN | (one->give > 0 ? EPOLLOUT : 0), {.ptr = one}};
    epoll_ctl(epoll, EPOLL_CTL_MOD, one->fd, &event);
    return 1;
}

static void drop(Connection *one, size_t count) {
    memmove(one->in, one->in + count, one->have -= count);
    one->in[one->have] = 0;
}

/* Answer what is whole; 0 for what is not understood. */
static int consider(Connection *one) {
    for (;;) {
        if (one->discard >= 0) {
            size_t count = one->discard < (long long)one->have ? (size_t)one->discard : one->have;
            drop(one, count);
            if ((one->discard -= count) > 0)
                return 1;
            one->discard = -1;
            answer(one, "application/proto", NULL, 0);
        }
        char *end = strstr(one->in, "\r\n\r\n"), *length = strcasestr(one->in, "\r\ncontent-length:");
        if (!end)
            return one->have < ROOM - 1;
        size_t head = end + 4 - one->in, body = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
        char *line = memchr(one->in, '\r', head), *log = memmem(one->in, line - one->in, "/UpdateLog ", 11);
        if (log && head + body < ROOM) {
            if (one->have < head + body)
                return 1;
            answer_log(one, (uint8_t *)one->in + head, body);
            drop(one, head + body);
        } else if (!strncmp(one->in, "GET /bytes/", 11)) {
            one->give = atoll(one->in + 11);
            answer(one, "application/octet-stream", NULL, one->give);
            drop(one, head);
            if (!give(one))
                return 0;
        } else {
            one->discard = body;
            drop(one, head);
        }
    }
}

static int take(Connection *one) {
    /* What is thrown away need not lie beside what is kept. */
    int large = one->discard > PIECE && !one->have;
    ssize_t got = recv(one->fd, large ? piece : one->in + one->have, large ? PIECE : ROOM - 1 - one->have, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    if (large) {
        one->discard -= got;
        return 1;
    }
    one->in[one->have += got] = 0;
    return consider(one);
}

int main(int argc, char **argv) {
    char *colon = argc > 1 ? strrchr(argv[1], ':') : NULL;
    if (!colon)
        return 2;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    *colon = 0;
    int listening = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (inet_pton(AF_INET, argv[1], &place.sin_addr) != 1 || bind(listening, (void *)&place, sizeof place) || listen(listening, 4096))
        fail(argv[1]);
    epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, found[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int count = epoll_wait(epoll, found, 256, -1);
        for (int i = 0; i < count; i++) {
            Connection *one = found[i].data.ptr;
            if (!one) {
                one = calloc(1, sizeof *one);
                one->fd = accept(listening, NULL, NULL);
                one->discard = -1;
                setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                struct epoll_event news = {EPOLLIN, {.ptr = one}};
                if (one->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &news))
                    fail("accept");
            } else if (((found[i].events & EPOLLOUT) && !give(one)) || ((found[i].events & ~EPOLLOUT) && !take(one)))
                leave(one);
        }
    }
}
