/*
 * A load generator for OpenAI-compatible HTTP endpoints. One thread, epoll, keep-alive, Linux. It sends
 * one fixed request over and over, checks every reply, and prints one JSON line. It does not start or
 * watch the server: run.py does.
 *
 *   --mode unary   closed loop of JSON replies
 *   --mode stream  closed loop of event streams; with count = concurrency and --ramp-ms, N streams at once
 *   --mode leave   opens streams and closes each after --leave-after events
 *
 * A good reply has status 200 and, for unary, a body that contains --expect; for a stream, at least
 * --min-events data events, no error event, one that begins with --end ([DONE] unless told), and an orderly
 * end of the transfer. Everything else is an error. A run ends by --count or --duration-ms, and in any case at --deadline-ms, when what is
 * still open counts as errors.
 *
 * The value of the Authorization header is taken from the environment: LOADGEN_AUTHORIZATION.
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
    READ_BYTES = 65536,
    HEAD_BYTES = 16384,
    LINE_BYTES = 256,
    READY_AT_ONCE = 512,
    KEPT_BODY_BYTES = 65536,
    MAX_SAMPLES = 8000000,
    MAX_ERRORS = 2000,
    MAX_CONCURRENCY = 10000,
    RETRY_PAUSE_MS = 10,
};

typedef enum { UNARY, STREAM, LEAVE } Mode;
typedef enum { IDLE, CONNECTING, SENDING, HEAD, BODY } State;
typedef enum { BY_LENGTH, BY_CHUNKS, BY_CLOSE } Framing;
typedef enum { SIZE_LINE, CHUNK_DATA, CHUNK_END, TRAILER } ChunkState;

typedef struct {
    uint64_t *values;
    size_t length, capacity;
} Samples;

typedef struct {
    int fd;
    State state;
    uint64_t start_ns;      /* when the request began; when to begin it while IDLE */
    uint64_t last_event_ns; /* 0 before the first */
    size_t sent;
    char head[HEAD_BYTES];
    size_t head_length;
    int status;
    Framing framing;
    bool server_closes;
    ChunkState chunk_state;
    uint64_t remaining; /* bytes of the body or of the chunk */
    char size_line[LINE_BYTES];
    size_t size_length;
    bool body_ended;
    uint64_t body_bytes;
    char *body; /* first bytes of a unary or failed reply */
    size_t body_kept;
    char line[LINE_BYTES]; /* first bytes of the event line at hand */
    size_t line_length;
    long events;
    bool done;
    char error_event[LINE_BYTES]; /* empty: none came */
} Client;

static struct {
    Mode mode;
    const char *host, *path, *expect, *end;
    int port, concurrency;
    long count, min_events, leave_after;
    uint64_t duration_ns, deadline_ns, ramp_ns;
} plan = {.mode = UNARY, .host = "127.0.0.1", .path = "/v1/chat/completions", .expect = "\"usage\"", .end = "[DONE]",
          .concurrency = 1, .count = 1000, .min_events = 1, .leave_after = 3, .duration_ns = 10000000000u,
          .deadline_ns = 30000000000u};

static struct {
    long started, ok, ok_in_time, errors, left, events, events_in_time;
    uint64_t begin_ns, last_ok_ns;
    Samples latency, first_event, gap;
    char first_error[400];
} result;

static int epoll_fd, open_clients; /* open: not IDLE */
static char *request;
static size_t request_length;
static Client *clients;
static struct sockaddr_in address;

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add_sample(Samples *samples, uint64_t value) {
    if (samples->length == MAX_SAMPLES) return;
    if (samples->length == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 65536;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        if (!samples->values) fail("memory");
    }
    samples->values[samples->length++] = value;
}

static void begin(Client *c);

static void disconnect(Client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void rest(Client *c, uint64_t until_ns) {
    if (c->state != IDLE) open_clients--;
    c->state = IDLE;
    c->start_ns = until_ns;
}

static void note_error(Client *c, const char *format, ...) {
    result.errors++;
    if (!result.first_error[0]) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(result.first_error, sizeof result.first_error, format, arguments);
        va_end(arguments);
    }
    disconnect(c);
    rest(c, now_ns() + RETRY_PAUSE_MS * 1000000u);
}

static void watch(Client *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) fail("epoll_ctl");
}

static bool in_time(uint64_t now) { return now - result.begin_ns <= plan.duration_ns; }

static void finish_reply(Client *c) {
    uint64_t now = now_ns();
    if (c->status != 200)
        note_error(c, "status %d: %.*s", c->status, (int)(c->body_kept > 300 ? 300 : c->body_kept), c->body);
    else if (plan.mode == UNARY && (c->body_bytes == 0 || !memmem(c->body, c->body_kept, plan.expect, strlen(plan.expect))))
        note_error(c, "the reply of %llu bytes lacks %s", (unsigned long long)c->body_bytes, plan.expect);
    else if (plan.mode != UNARY && c->error_event[0])
        note_error(c, "an error event after %ld events: %s", c->events, c->error_event);
    else if (plan.mode != UNARY && (!c->done || c->events < plan.min_events))
        note_error(c, "the stream ended after %ld events, %s %s", c->events, c->done ? "with" : "without", plan.end);
    else if (plan.mode == LEAVE)
        note_error(c, "the stream ended before the client could leave");
    else {
        result.ok++;
        result.last_ok_ns = now;
        result.events += c->events;
        if (in_time(now)) {
            result.ok_in_time++;
            result.events_in_time += c->events;
        }
        add_sample(&result.latency, now - c->start_ns);
        if (c->server_closes) disconnect(c);
        rest(c, 0);
        begin(c);
    }
}

static void leave(Client *c) {
    result.left++;
    result.events += c->events;
    disconnect(c);
    rest(c, 0);
    begin(c);
}

static bool begins(const char *line, size_t length, const char *with) {
    return length >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

static void end_of_line(Client *c, uint64_t now) {
    const char *line = c->line;
    size_t length = c->line_length;
    c->line_length = 0;
    if (length && line[length - 1] == '\r') length--;
    if (length < 5 || memcmp(line, "data:", 5) != 0) return;
    line += 5;
    length -= 5;
    if (length && *line == ' ') line++, length--;
    if (begins(line, length, plan.end)) {
        c->done = true;
        return;
    }
    if (begins(line, length, "{\"error\"") || begins(line, length, "{\"type\":\"error\"")) {
        memcpy(c->error_event, line, length);
        c->error_event[length] = '\0';
        return;
    }
    c->events++;
    if (c->last_event_ns == 0)
        add_sample(&result.first_event, now - c->start_ns);
    else
        add_sample(&result.gap, now - c->last_event_ns);
    c->last_event_ns = now;
}

static void read_events(Client *c, const char *bytes, size_t length, uint64_t now) {
    while (length) {
        const char *newline = memchr(bytes, '\n', length);
        size_t part = newline ? (size_t)(newline - bytes) : length;
        size_t room = LINE_BYTES - c->line_length;
        size_t kept = part < room ? part : room;
        memcpy(c->line + c->line_length, bytes, kept);
        c->line_length += kept;
        if (!newline) return;
        end_of_line(c, now);
        bytes = newline + 1;
        length -= part + 1;
    }
}

static void take_body(Client *c, const char *bytes, size_t length, uint64_t now) {
    c->body_bytes += length;
    if (plan.mode != UNARY && c->status == 200) {
        read_events(c, bytes, length, now);
        return;
    }
    size_t room = KEPT_BODY_BYTES - c->body_kept;
    size_t kept = length < room ? length : room;
    if (!c->body && !(c->body = malloc(KEPT_BODY_BYTES))) fail("memory");
    memcpy(c->body + c->body_kept, bytes, kept);
    c->body_kept += kept;
}

/* Takes one byte of a chunk's size line or of the trailer. False: malformed. */
static bool take_line_byte(Client *c, char byte) {
    if (byte != '\n') {
        if (c->size_length < LINE_BYTES - 1) c->size_line[c->size_length++] = byte;
        return true;
    }
    if (c->size_length && c->size_line[c->size_length - 1] == '\r') c->size_length--;
    c->size_line[c->size_length] = '\0';
    bool empty = c->size_length == 0;
    c->size_length = 0;
    if (c->chunk_state == CHUNK_END) {
        c->chunk_state = SIZE_LINE;
        return empty;
    }
    if (c->chunk_state == TRAILER) {
        c->body_ended = empty;
        return true;
    }
    char *end;
    c->remaining = strtoull(c->size_line, &end, 16);
    c->chunk_state = c->remaining ? CHUNK_DATA : TRAILER;
    return end != c->size_line;
}

static bool take_chunks(Client *c, const char *bytes, size_t length, uint64_t now) {
    size_t at = 0;
    while (at < length && !c->body_ended) {
        if (c->chunk_state != CHUNK_DATA) {
            if (!take_line_byte(c, bytes[at++])) return false;
            continue;
        }
        size_t part = length - at < c->remaining ? length - at : (size_t)c->remaining;
        take_body(c, bytes + at, part, now);
        at += part;
        c->remaining -= part;
        if (c->remaining == 0) c->chunk_state = CHUNK_END;
    }
    return at == length; /* bytes after the end belong to no request of ours */
}

static bool take_bytes(Client *c, const char *bytes, size_t length, uint64_t now) {
    if (c->framing == BY_CHUNKS) return take_chunks(c, bytes, length, now);
    if (c->framing == BY_LENGTH && length > c->remaining) return false;
    take_body(c, bytes, length, now);
    if (c->framing == BY_LENGTH) {
        c->remaining -= length;
        c->body_ended = c->remaining == 0;
    }
    return true;
}

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

static bool parse_head(Client *c) {
    int minor;
    if (sscanf(c->head, "HTTP/1.%d %d", &minor, &c->status) != 2) return false;
    const char *connection = find_header(c->head, "connection");
    const char *coding = find_header(c->head, "transfer-encoding");
    const char *length = find_header(c->head, "content-length");
    c->server_closes = minor == 0 || (connection && strncasecmp(connection, "close", 5) == 0);
    if (coding && strncasecmp(coding, "chunked", 7) == 0) {
        c->framing = BY_CHUNKS;
    } else if (length) {
        c->framing = BY_LENGTH;
        c->remaining = strtoull(length, NULL, 10);
        c->body_ended = c->remaining == 0;
    } else {
        c->framing = BY_CLOSE;
        c->server_closes = true;
    }
    return true;
}

/* Moves bytes into the head until it ends. The count of bytes used, or -1. */
static ssize_t take_head(Client *c, const char *bytes, size_t length) {
    size_t before = c->head_length;
    size_t room = HEAD_BYTES - 1 - before;
    size_t kept = length < room ? length : room;
    memcpy(c->head + before, bytes, kept);
    c->head_length += kept;
    size_t from = before > 3 ? before - 3 : 0;
    char *end = memmem(c->head + from, c->head_length - from, "\r\n\r\n", 4);
    if (!end) return kept < length ? -1 : (ssize_t)length;
    size_t used = (size_t)(end - c->head) + 4 - before;
    end[2] = '\0';
    c->state = BODY;
    return parse_head(c) ? (ssize_t)used : -1;
}

static bool over(Client *c) {
    if (c->state != BODY) return false;
    if (plan.mode == LEAVE && c->status == 200 && c->events >= plan.leave_after) {
        leave(c);
        return true;
    }
    if (!c->body_ended) return false;
    finish_reply(c);
    return true;
}

static void on_readable(Client *c) {
    static char bytes[READ_BYTES];
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            bool orderly = n == 0 && c->state == BODY && c->framing == BY_CLOSE;
            if (orderly) finish_reply(c);
            else if (c->state == IDLE) disconnect(c);
            else note_error(c, "the connection broke after %ld events: %s", c->events, n ? strerror(errno) : "closed");
            return;
        }
        if (c->state == IDLE || c->state == SENDING) {
            note_error(c, "bytes that nobody asked for");
            return;
        }
        const char *at = bytes;
        size_t length = (size_t)n;
        if (c->state == HEAD) {
            ssize_t used = take_head(c, at, length);
            if (used < 0) {
                note_error(c, "a malformed head");
                return;
            }
            at += used;
            length -= (size_t)used;
        }
        if (length && !take_bytes(c, at, length, now_ns())) {
            note_error(c, "a malformed body");
            return;
        }
        if (over(c) || (size_t)n < sizeof bytes) return;
    }
}

static void send_request(Client *c) {
    while (c->sent < request_length) {
        ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->state = SENDING;
            return;
        }
        if (n < 0) {
            note_error(c, "send: %s", strerror(errno));
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->state == SENDING || c->state == CONNECTING) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->state = HEAD;
}

static void open_connection(Client *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        note_error(c, "connect: %s", strerror(errno));
        return;
    }
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    c->state = CONNECTING;
}

static bool may_begin(uint64_t now) {
    return result.started < plan.count && in_time(now) && result.errors < MAX_ERRORS;
}

static void begin(Client *c) {
    uint64_t now = now_ns();
    if (!may_begin(now)) return;
    result.started++;
    c->start_ns = now;
    c->last_event_ns = 0;
    c->sent = c->head_length = c->size_length = c->body_kept = c->line_length = 0;
    c->status = 0;
    c->chunk_state = SIZE_LINE;
    c->remaining = c->body_bytes = 0;
    c->body_ended = c->done = false;
    c->error_event[0] = '\0';
    c->events = 0;
    open_clients++;
    c->state = HEAD;
    if (c->fd < 0) open_connection(c);
    else send_request(c);
}

static void on_ready(Client *c, uint32_t events) {
    if (c->fd < 0) return;
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) note_error(c, "connect: %s", strerror(error));
        else if (events & EPOLLOUT) send_request(c);
        return;
    }
    if (c->state == SENDING && (events & EPOLLOUT)) send_request(c);
    if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) on_readable(c);
}

/* Begins what is due; milliseconds until the next one, or -1. */
static int begin_due(uint64_t now) {
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < plan.concurrency; i++) {
        Client *c = &clients[i];
        if (c->state == IDLE && may_begin(now)) {
            if (c->start_ns <= now) begin(c);
            else if (c->start_ns < next) next = c->start_ns;
        }
    }
    return next == UINT64_MAX ? -1 : (int)((next - now + 999999u) / 1000000u);
}

static void count_unfinished(void) {
    for (int i = 0; i < plan.concurrency; i++)
        if (clients[i].state != IDLE) note_error(&clients[i], "not over at the deadline after %ld events", clients[i].events);
}

static void run(void) {
    struct epoll_event ready[READY_AT_ONCE];
    bool waiting = true; /* some client may have to begin later: at the start, and after errors */
    long errors_seen = 0;
    result.begin_ns = now_ns();
    for (int i = 0; i < plan.concurrency; i++)
        clients[i].start_ns = result.begin_ns + plan.ramp_ns * (uint64_t)i / (uint64_t)plan.concurrency;
    for (;;) {
        uint64_t now = now_ns();
        if (now - result.begin_ns > plan.deadline_ns) {
            count_unfinished();
            return;
        }
        int pause_ms = 50;
        if (waiting || result.errors != errors_seen) {
            errors_seen = result.errors;
            int due_ms = begin_due(now);
            waiting = due_ms >= 0;
            if (waiting && due_ms < pause_ms) pause_ms = due_ms;
        }
        if (open_clients == 0 && !waiting && result.errors == errors_seen) return;
        int count = epoll_wait(epoll_fd, ready, READY_AT_ONCE, pause_ms);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) on_ready(ready[i].data.ptr, ready[i].events);
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_us(const Samples *samples, double share) {
    if (samples->length == 0) return 0;
    size_t index = (size_t)(share * (double)samples->length);
    if (index >= samples->length) index = samples->length - 1;
    return (double)samples->values[index] / 1000.0;
}

static void print_samples(const char *name, Samples *samples) {
    if (samples->length) qsort(samples->values, samples->length, sizeof *samples->values, compare);
    printf(",\"%s\":{\"samples\":%zu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, samples->length,
           quantile_us(samples, 0.5), quantile_us(samples, 0.9), quantile_us(samples, 0.99), quantile_us(samples, 1.0));
}

static void print_text(const char *text) {
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') printf("\\%c", *at);
        else if (*at < 0x20 || *at >= 0x7f) putchar(' ');
        else putchar(*at);
    }
    putchar('"');
}

static void print_result(void) {
    static const char *modes[] = {"unary", "stream", "leave"};
    uint64_t end = result.last_ok_ns ? result.last_ok_ns : now_ns();
    if (end - result.begin_ns > plan.duration_ns) end = result.begin_ns + plan.duration_ns;
    double seconds = (double)(end - result.begin_ns) / 1e9;
    printf("{\"mode\":\"%s\",\"concurrency\":%d,\"started\":%ld,\"ok\":%ld,\"errors\":%ld,\"left\":%ld,\"seconds\":%.3f,"
           "\"rps\":%.2f,\"events\":%ld,\"events_per_second\":%.1f",
           modes[plan.mode], plan.concurrency, result.started, result.ok, result.errors, result.left, seconds,
           seconds > 0 ? (double)result.ok_in_time / seconds : 0, result.events,
           seconds > 0 ? (double)result.events_in_time / seconds : 0);
    print_samples("latency_us", &result.latency);
    print_samples("first_event_us", &result.first_event);
    print_samples("gap_us", &result.gap);
    printf(",\"first_error\":");
    print_text(result.first_error);
    printf("}\n");
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    char *bytes = malloc(1 << 20);
    if (!bytes) fail("memory");
    *length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void build_request(const char *body_file) {
    size_t body_length;
    char *body = read_file(body_file, &body_length);
    const char *authorization = getenv("LOADGEN_AUTHORIZATION");
    char line[1024] = "";
    if (authorization && snprintf(line, sizeof line, "Authorization: %s\r\n", authorization) >= (int)sizeof line) {
        errno = E2BIG;
        fail("LOADGEN_AUTHORIZATION");
    }
    int head = asprintf(&request,
                        "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nAccept: */*\r\n%s"
                        "Content-Length: %zu\r\n\r\n",
                        plan.path, plan.host, plan.port, line, body_length);
    if (head < 0 || !(request = realloc(request, (size_t)head + body_length))) fail("memory");
    memcpy(request + head, body, body_length);
    request_length = (size_t)head + body_length;
    free(body);
}

static _Noreturn void usage(void) {
    fprintf(stderr, "usage: loadgen --port PORT --body-file FILE [--mode unary|stream|leave] [--host ADDRESS] [--path PATH]\n"
                    "  [--concurrency N] [--count N] [--duration-ms MS] [--deadline-ms MS] [--ramp-ms MS]\n"
                    "  [--expect TEXT] [--min-events N] [--leave-after EVENTS] [--end TEXT]\n");
    exit(2);
}

static Mode parse_mode(const char *name) {
    if (strcmp(name, "unary") == 0) return UNARY;
    if (strcmp(name, "stream") == 0) return STREAM;
    if (strcmp(name, "leave") == 0) return LEAVE;
    usage();
}

static const char *parse_options(int argc, char **argv) {
    static const struct option options[] = {
        {"mode", required_argument, NULL, 'm'},       {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},       {"path", required_argument, NULL, 'u'},
        {"body-file", required_argument, NULL, 'b'},  {"concurrency", required_argument, NULL, 'c'},
        {"count", required_argument, NULL, 'n'},      {"duration-ms", required_argument, NULL, 'd'},
        {"deadline-ms", required_argument, NULL, 'x'}, {"ramp-ms", required_argument, NULL, 'r'},
        {"expect", required_argument, NULL, 'e'},     {"min-events", required_argument, NULL, 'v'},
        {"leave-after", required_argument, NULL, 'l'}, {"end", required_argument, NULL, 'z'},
        {NULL, 0, NULL, 0}};
    const char *body_file = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'm': plan.mode = parse_mode(optarg); break;
        case 'h': plan.host = optarg; break;
        case 'p': plan.port = atoi(optarg); break;
        case 'u': plan.path = optarg; break;
        case 'b': body_file = optarg; break;
        case 'c': plan.concurrency = atoi(optarg); break;
        case 'n': plan.count = atol(optarg); break;
        case 'd': plan.duration_ns = strtoull(optarg, NULL, 10) * 1000000u; break;
        case 'x': plan.deadline_ns = strtoull(optarg, NULL, 10) * 1000000u; break;
        case 'r': plan.ramp_ns = strtoull(optarg, NULL, 10) * 1000000u; break;
        case 'e': plan.expect = optarg; break;
        case 'v': plan.min_events = atol(optarg); break;
        case 'l': plan.leave_after = atol(optarg); break;
        case 'z': plan.end = optarg; break;
        default: usage();
        }
    }
    if (!body_file || plan.port < 1 || plan.port > 65535 || plan.concurrency < 1 || plan.concurrency > MAX_CONCURRENCY)
        usage();
    return body_file;
}

int main(int argc, char **argv) {
    const char *body_file = parse_options(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlives the run that started it */
    build_request(body_file);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)plan.port);
    if (inet_pton(AF_INET, plan.host, &address.sin_addr) != 1) usage();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1");
    clients = calloc((size_t)plan.concurrency, sizeof *clients);
    if (!clients) fail("memory");
    for (int i = 0; i < plan.concurrency; i++) clients[i].fd = -1;
    run();
    print_result();
    return 0;
}
