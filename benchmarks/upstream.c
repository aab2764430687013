/*
 * An OpenAI-compatible upstream for measurements: answers chat completions with canned bytes, so that
 * what is measured is the gateway in front of it. One thread, epoll, Linux. It is not a model and not
 * a test double with faults; the suites have their own.
 *
 * The model name carries the knobs:
 *   bench-burst-EVENTS              a stream of EVENTS content chunks, written at once
 *   bench-paced-EVENTS-MICROSECONDS a stream of EVENTS content chunks, one every MICROSECONDS
 *   any other name                  one JSON reply, or a burst of 20 chunks with "stream": true
 *
 * A stream ends with a finish chunk, a usage chunk if the request asks for one, and [DONE].
 * GET /stats returns the counters.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_REQUEST_BYTES = 4 << 20,
    MAX_EVENTS_PER_STREAM = 100000,
    READY_AT_ONCE = 512,
    LISTEN_BACKLOG = 4096,
    DEFAULT_STREAM_EVENTS = 20,
    WORDS = 16, /* gateways look for a model that repeats itself, so the words vary */
};

typedef struct {
    char *bytes;
    size_t length;
    size_t capacity;
} Buffer;

typedef struct Connection {
    int fd;
    bool closing;        /* close when the output is gone */
    bool streaming;      /* a stream is open: bytes of its end have not been queued and written */
    bool wants_usage;
    bool waits_to_write; /* EPOLLOUT is armed */
    long events_left;
    long events_total;
    uint64_t interval_ns;
    uint64_t due_ns;
    size_t heap_index; /* 0: not in the heap */
    Buffer in;
    Buffer out;
    size_t out_sent;
    struct Connection *next_free;
} Connection;

typedef struct {
    const char *body;
    size_t body_length;
    size_t total_length; /* of head and body on the wire */
    char method[8];
    char path[128];
    bool close;
} Request;

static struct {
    unsigned long connections, requests, unary, streams, completed_streams, dropped_streams, open_streams, bad_requests;
} counters;

static int epoll_fd;
static Connection **heap; /* paced streams by due time, from index 1 */
static size_t heap_length, heap_capacity;
static Connection *to_free; /* closed in this turn, freed after it: later events may still name them */

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "upstream: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void reserve(Buffer *buffer, size_t more) {
    if (buffer->length + more <= buffer->capacity) return;
    size_t capacity = buffer->capacity ? buffer->capacity : 4096;
    while (capacity < buffer->length + more) capacity *= 2;
    char *bytes = realloc(buffer->bytes, capacity);
    if (!bytes) fail("memory");
    buffer->bytes = bytes;
    buffer->capacity = capacity;
}

static void append(Buffer *buffer, const char *bytes, size_t length) {
    reserve(buffer, length);
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

static void append_format(Buffer *buffer, const char *format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text) fail("reply too long");
    append(buffer, text, (size_t)length);
}

static void heap_place(size_t index, Connection *c) {
    heap[index] = c;
    c->heap_index = index;
}

static void heap_up(size_t index, Connection *c) {
    while (index > 1 && heap[index / 2]->due_ns > c->due_ns) {
        heap_place(index, heap[index / 2]);
        index /= 2;
    }
    heap_place(index, c);
}

static void heap_down(size_t index, Connection *c) {
    for (;;) {
        size_t child = index * 2;
        if (child > heap_length) break;
        if (child < heap_length && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
        if (heap[child]->due_ns >= c->due_ns) break;
        heap_place(index, heap[child]);
        index = child;
    }
    heap_place(index, c);
}

static void heap_add(Connection *c) {
    if (heap_length + 2 > heap_capacity) {
        heap_capacity = heap_capacity ? heap_capacity * 2 : 1024;
        heap = realloc(heap, heap_capacity * sizeof *heap);
        if (!heap) fail("memory");
    }
    heap_up(++heap_length, c);
}

static void heap_remove(Connection *c) {
    size_t index = c->heap_index;
    if (!index) return;
    c->heap_index = 0;
    Connection *last = heap[heap_length--];
    if (last == c) return;
    if (index > 1 && heap[index / 2]->due_ns > last->due_ns)
        heap_up(index, last);
    else
        heap_down(index, last);
}

static void close_connection(Connection *c) {
    if (c->fd < 0) return;
    if (c->streaming) {
        counters.dropped_streams++;
        counters.open_streams--;
    }
    heap_remove(c);
    close(c->fd);
    c->fd = -1;
    c->next_free = to_free;
    to_free = c;
}

static void free_closed(void) {
    while (to_free) {
        Connection *c = to_free;
        to_free = c->next_free;
        free(c->in.bytes);
        free(c->out.bytes);
        free(c);
    }
}

static void watch(Connection *c, bool write) {
    if (c->waits_to_write == write) return;
    c->waits_to_write = write;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (write ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl");
}

/* Writes what the socket takes. False: the connection is gone. */
static bool flush(Connection *c) {
    while (c->out_sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.bytes + c->out_sent, c->out.length - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c, true);
            return true;
        }
        if (n < 0) {
            close_connection(c);
            return false;
        }
        c->out_sent += (size_t)n;
    }
    c->out.length = c->out_sent = 0;
    watch(c, false);
    if (c->streaming && c->events_left == 0) {
        c->streaming = false;
        counters.open_streams--;
        counters.completed_streams++;
    }
    if (c->closing && !c->streaming) {
        close_connection(c);
        return false;
    }
    return true;
}

static void reply(Connection *c, const char *status, const char *json) {
    append_format(&c->out, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
                  strlen(json), json);
}

static void reply_stats(Connection *c) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"connections\":%lu,\"requests\":%lu,\"unary\":%lu,\"streams\":%lu,\"open_streams\":%lu,"
             "\"completed_streams\":%lu,\"dropped_streams\":%lu,\"bad_requests\":%lu}",
             counters.connections, counters.requests, counters.unary, counters.streams, counters.open_streams,
             counters.completed_streams, counters.dropped_streams, counters.bad_requests);
    reply(c, "200 OK", json);
}

#define USAGE "{\"prompt_tokens\":180,\"completion_tokens\":%ld,\"total_tokens\":%ld}"
#define SENTENCE "The water of the headrace turns the wheel before it falls back into the river. "

static void reply_unary(Connection *c) {
    char json[2048];
    snprintf(json, sizeof json,
             "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"bench\","
             "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" SENTENCE SENTENCE SENTENCE
                 SENTENCE SENTENCE SENTENCE SENTENCE SENTENCE SENTENCE "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
             "\"usage\":" USAGE ",\"system_fingerprint\":\"fp_bench\"}",
             160L, 340L);
    reply(c, "200 OK", json);
    counters.unary++;
}

static void append_chunk(Buffer *out, const char *data, size_t length) {
    append_format(out, "%zx\r\ndata: ", length + 8);
    append(out, data, length);
    append(out, "\n\n\r\n", 4);
}

#define CHUNK_HEAD                                                                                                      \
    "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench\","       \
    "\"system_fingerprint\":\"fp_bench\",\"choices\":"

static Buffer first_chunk, later_chunks[WORDS]; /* as they go over the wire */

static void prepare_chunks(void) {
    static const char *words[WORDS] = {"The ",  "water ", "of ",    "the ",   "headrace ", "turns ", "a ",     "wheel ",
                                       "and ",  "then ",  "falls ", "back ",  "into ",     "its ",   "river ", "again. "};
    char chunk[512];
    for (int i = -1; i < WORDS; i++) {
        int length = snprintf(chunk, sizeof chunk,
                              CHUNK_HEAD "[{\"index\":0,\"delta\":{%s\"content\":\"%s\"},\"logprobs\":null,"
                                         "\"finish_reason\":null}]}",
                              i < 0 ? "\"role\":\"assistant\"," : "", i < 0 ? "" : words[i]);
        append_chunk(i < 0 ? &first_chunk : &later_chunks[i], chunk, (size_t)length);
    }
}

static void append_content(Connection *c) {
    const Buffer *chunk = &later_chunks[(c->events_total - c->events_left) % WORDS];
    if (c->events_left == c->events_total) append(&c->out, first_chunk.bytes, first_chunk.length);
    append(&c->out, chunk->bytes, chunk->length);
    c->events_left--;
}

static void append_end(Connection *c) {
    static const char finish[] = CHUNK_HEAD "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}";
    append_chunk(&c->out, finish, sizeof finish - 1);
    if (c->wants_usage) {
        char usage[512];
        int length = snprintf(usage, sizeof usage, CHUNK_HEAD "[],\"usage\":" USAGE "}", c->events_total,
                              180 + c->events_total);
        append_chunk(&c->out, usage, (size_t)length);
    }
    append_chunk(&c->out, "[DONE]", 6);
    append(&c->out, "0\r\n\r\n", 5);
}

static void start_stream(Connection *c, long events, long interval_us) {
    counters.streams++;
    counters.open_streams++;
    c->streaming = true;
    c->events_left = c->events_total = events;
    append_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n");
    if (interval_us == 0) {
        while (c->events_left > 0) append_content(c);
        append_end(c);
        return;
    }
    c->interval_ns = (uint64_t)interval_us * 1000u;
    c->due_ns = now_ns() + c->interval_ns;
    heap_add(c);
}

/* The place after `"key":` and blanks in a JSON text. Good for keys that occur once, as in our own requests. */
static const char *find_value(const char *json, size_t length, const char *key) {
    const char *end = json + length;
    size_t key_length = strlen(key);
    const char *at = json;
    while ((at = memmem(at, (size_t)(end - at), key, key_length))) {
        const char *after = at + key_length;
        at = after;
        while (after < end && (*after == ' ' || *after == '\n' || *after == '\t' || *after == '\r')) after++;
        if (after == end || *after != ':') continue;
        after++;
        while (after < end && (*after == ' ' || *after == '\n' || *after == '\t' || *after == '\r')) after++;
        return after < end ? after : NULL;
    }
    return NULL;
}

static bool is_true(const Request *r, const char *key) {
    const char *value = find_value(r->body, r->body_length, key);
    return value && r->body + r->body_length - value >= 4 && memcmp(value, "true", 4) == 0;
}

static void chat(Connection *c, const Request *r) {
    char model[128] = "";
    const char *value = find_value(r->body, r->body_length, "\"model\"");
    if (value && *value == '"') {
        const char *end = memchr(value + 1, '"', (size_t)(r->body + r->body_length - value - 1));
        if (end && (size_t)(end - value) < sizeof model) memcpy(model, value + 1, (size_t)(end - value - 1));
    }
    if (!model[0]) {
        counters.bad_requests++;
        reply(c, "400 Bad Request", "{\"error\":{\"message\":\"no model\",\"type\":\"invalid_request_error\"}}");
        return;
    }
    if (!is_true(r, "\"stream\"")) {
        reply_unary(c);
        return;
    }
    long events = DEFAULT_STREAM_EVENTS, interval_us = 0;
    if (sscanf(model, "bench-paced-%ld-%ld", &events, &interval_us) != 2) {
        interval_us = 0;
        if (sscanf(model, "bench-burst-%ld", &events) != 1) events = DEFAULT_STREAM_EVENTS;
    }
    if (events < 1 || events > MAX_EVENTS_PER_STREAM || interval_us < 0) {
        counters.bad_requests++;
        reply(c, "400 Bad Request", "{\"error\":{\"message\":\"bad knobs\",\"type\":\"invalid_request_error\"}}");
        return;
    }
    c->wants_usage = is_true(r, "\"include_usage\"");
    start_stream(c, events, interval_us);
}

static void answer(Connection *c, const Request *r) {
    if (r->close) c->closing = true;
    if (strcmp(r->method, "GET") == 0 && strcmp(r->path, "/stats") == 0) {
        reply_stats(c);
    } else if (strcmp(r->method, "GET") == 0 && strcmp(r->path, "/v1/models") == 0) {
        reply(c, "200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"owned_by\":\"bench\"}]}");
    } else if (strcmp(r->method, "POST") == 0 && strcmp(r->path, "/v1/chat/completions") == 0) {
        counters.requests++;
        chat(c, r);
    } else {
        counters.bad_requests++;
        reply(c, "404 Not Found", "{\"error\":{\"message\":\"not found\",\"type\":\"invalid_request_error\"}}");
    }
}

/* The value of a header in a head that ends with a NUL, or NULL. */
static const char *find_header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            while (*line == ' ' || *line == '\t') line++;
            return line;
        }
    }
    return NULL;
}

/* Joins the chunks of a chunked body in place. 1: whole, 0: more is needed, -1: malformed. */
static int join_chunks(char *bytes, size_t length, size_t *body_length, size_t *wire_length) {
    /* Two passes, because a partial body has to stay as it came. */
    for (int pass = 0; pass < 2; pass++) {
        size_t at = 0, joined = 0;
        for (;;) {
            char *line_end = memmem(bytes + at, length - at, "\r\n", 2);
            if (!line_end) return length - at > 32 ? -1 : 0;
            char *digits_end;
            unsigned long size = strtoul(bytes + at, &digits_end, 16);
            if (digits_end == bytes + at || size > MAX_REQUEST_BYTES) return -1;
            at = (size_t)(line_end - bytes) + 2;
            if (length - at < size + 2) return 0;
            if (pass == 1) memmove(bytes + joined, bytes + at, size);
            joined += size;
            at += size + 2;
            if (size == 0) break;
        }
        *body_length = joined;
        *wire_length = at;
    }
    return 1;
}

/* Reads one request from the input. 1: whole, 0: more is needed, -1: malformed. */
static int parse(Connection *c, Request *r) {
    char *end = memmem(c->in.bytes, c->in.length, "\r\n\r\n", 4);
    if (!end) return c->in.length > 65536 ? -1 : 0;
    size_t head_length = (size_t)(end - c->in.bytes) + 4;
    char kept = *end;
    *end = '\0'; /* the head as a string, for the length of this function */
    int fields = sscanf(c->in.bytes, "%7s %127s", r->method, r->path);
    const char *length_text = find_header(c->in.bytes, "content-length");
    const char *coding = find_header(c->in.bytes, "transfer-encoding");
    const char *connection = find_header(c->in.bytes, "connection");
    r->close = connection && strncasecmp(connection, "close", 5) == 0;
    unsigned long body_length = length_text ? strtoul(length_text, NULL, 10) : 0;
    bool chunked = coding && strncasecmp(coding, "chunked", 7) == 0;
    *end = kept;
    if (fields != 2 || body_length > MAX_REQUEST_BYTES) return -1;
    char *body = c->in.bytes + head_length;
    size_t available = c->in.length - head_length;
    r->body = body;
    if (chunked) {
        size_t wire_length = 0;
        int state = join_chunks(body, available, &r->body_length, &wire_length);
        r->total_length = head_length + wire_length;
        return state;
    }
    r->body_length = body_length;
    r->total_length = head_length + body_length;
    return available >= body_length;
}

static void serve(Connection *c) {
    /* One reply at a time: the next request of a pipeline waits until this one's stream is over. */
    while (c->fd >= 0 && !c->streaming && !c->closing && c->in.length > 0) {
        Request r = {0};
        int state = parse(c, &r);
        if (state == 0) return;
        if (state < 0) {
            counters.bad_requests++;
            c->closing = true;
            reply(c, "400 Bad Request", "{\"error\":{\"message\":\"malformed\",\"type\":\"invalid_request_error\"}}");
            c->in.length = 0;
        } else {
            answer(c, &r);
            memmove(c->in.bytes, c->in.bytes + r.total_length, c->in.length - r.total_length);
            c->in.length -= r.total_length;
        }
        flush(c);
    }
}

static void on_readable(Connection *c) {
    for (;;) {
        reserve(&c->in, 16384);
        size_t room = c->in.capacity - c->in.length;
        ssize_t n = recv(c->fd, c->in.bytes + c->in.length, room, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (n <= 0) {
            close_connection(c);
            return;
        }
        c->in.length += (size_t)n;
        if (c->in.length > MAX_REQUEST_BYTES) {
            close_connection(c);
            return;
        }
        if ((size_t)n < room) break;
    }
    serve(c);
}

static void send_due(void) {
    uint64_t now = now_ns();
    while (heap_length > 0 && heap[1]->due_ns <= now) {
        Connection *c = heap[1];
        heap_remove(c);
        append_content(c);
        if (c->events_left == 0) {
            append_end(c);
        } else {
            c->due_ns += c->interval_ns; /* by the plan, not by now: a late wake-up must not slow the stream */
            heap_add(c);
        }
        if (flush(c)) serve(c);
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *c = calloc(1, sizeof *c);
        if (!c) fail("memory");
        c->fd = fd;
        counters.connections++;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    }
}

static int listen_on(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (fd < 0) fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        fail(host);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (listen(fd, LISTEN_BACKLOG) < 0) fail("listen");
    socklen_t length = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static int wait_ms(void) {
    if (heap_length == 0) return -1;
    uint64_t now = now_ns();
    return heap[1]->due_ns <= now ? 0 : (int)((heap[1]->due_ns - now + 999999u) / 1000000u);
}

static _Noreturn void loop(int listener) {
    struct epoll_event ready[READY_AT_ONCE];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll_fd, ready, READY_AT_ONCE, wait_ms());
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            Connection *c = ready[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (c->fd >= 0 && (ready[i].events & EPOLLOUT) && flush(c)) serve(c);
            if (c->fd >= 0 && (ready[i].events & (EPOLLHUP | EPOLLERR)))
                close_connection(c);
            else if (c->fd >= 0 && (ready[i].events & (EPOLLIN | EPOLLRDHUP)))
                on_readable(c);
        }
        send_due();
        free_closed();
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"lifetime-seconds", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    const char *host = "127.0.0.1";
    int port = 0, option;
    unsigned lifetime_seconds = 3600;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') host = optarg;
        else if (option == 'p') port = atoi(optarg);
        else if (option == 'l') lifetime_seconds = (unsigned)strtoul(optarg, NULL, 10);
        else {
            fprintf(stderr, "usage: upstream [--host ADDRESS] [--port PORT] [--lifetime-seconds SECONDS]\n");
            return 2;
        }
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlives the run that started it */
    alarm(lifetime_seconds);
    prepare_chunks();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1");
    loop(listen_on(host, port));
}
