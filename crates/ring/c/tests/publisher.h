// The deterministic writer of crates/ring/examples/publish.rs as a child process, and the content of its grids, from the
// formula in its documentation.
#ifndef PUBLISHER_H
#define PUBLISHER_H

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct publisher {
    pid_t process;
    int in;
    FILE *out;
};

// Starts it with `--commands`; returns when clients can connect.
static inline struct publisher start_publisher(const char *program, const char *socket, const char *first_frame) {
    int to[2], from[2];
    CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    const pid_t process = fork();
    CHECK(process >= 0);
    if (process == 0) {
        if (dup2(to[0], 0) == 0 && dup2(from[1], 1) == 1) {
            execl(program, program, socket, "--commands", "--first-frame", first_frame, (char *)NULL);
        }
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    struct publisher publisher;
    publisher.process = process;
    publisher.in = to[1];
    publisher.out = fdopen(from[0], "r");
    char line[64];
    CHECK(publisher.out != NULL && fgets(line, sizeof line, publisher.out) != NULL && strcmp(line, "ready\n") == 0);
    return publisher;
}

// Publishes so many grids and returns when they are.
static inline void publish(struct publisher *publisher, unsigned grids) {
    char line[64];
    const int length = snprintf(line, sizeof line, "%u\n", grids);
    CHECK(write(publisher->in, line, (size_t)length) == length);
    CHECK(fgets(line, sizeof line, publisher->out) != NULL);
}

static inline void kill_publisher(struct publisher *publisher) {
    CHECK(kill(publisher->process, SIGKILL) == 0);
    CHECK(waitpid(publisher->process, NULL, 0) == publisher->process);
    close(publisher->in);
    fclose(publisher->out);
}

static inline uint64_t mix(uint64_t state) {
    uint64_t z = state + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// Label `index` of frame `frame`.
static inline uint8_t published_label(uint64_t frame, size_t index) {
    return (uint8_t)(mix((frame << 32) + index / 8) >> (index % 8 * 8));
}

// Confidence `index` of frame `frame`.
static inline uint8_t published_confidence(uint64_t frame, size_t index) {
    return (uint8_t)(mix(((frame << 32) | (UINT64_C(1) << 31)) + index / 8) >> (index % 8 * 8));
}

#endif
