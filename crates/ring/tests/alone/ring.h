/* What attaching and reading share: an attached stream, and how its memory may be read. */
#ifndef RING_H
#define RING_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before anything is included: struct ucred, POLLRDHUP and F_GET_SEALS need it"
#endif

#include "abi.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_GONE = 3 };
enum { NS_PER_MS = 1000000 };

/* The header is a copy, made and checked once; the segment itself is only read word by word. */
struct ring {
    int socket;
    bool notify;
    uid_t writer_uid;
    const uint64_t *words;
    struct segment_header header;
};

/* Fills `ring` but for `notify`, which is the caller's wish; or dies. */
void attach(struct ring *ring, const char *path);

#define DIE(...) (fputs("reader: ", stderr), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(EXIT_ERROR))

/* ABI.md, Reading, step 3: relaxed 8-byte loads, because the writer may be storing to the same words. */
static inline void copy_words(void *to, const uint64_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / WORD; i++) {
        uint64_t word = __atomic_load_n(from + i, __ATOMIC_RELAXED);
        memcpy((uint8_t *)to + i * WORD, &word, sizeof word);
    }
}

static inline uint64_t whole_words(uint64_t bytes)
{
    return (bytes + WORD - 1) / WORD * WORD;
}

#endif
