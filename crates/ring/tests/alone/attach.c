/*
 * Attaching: the handshake, and a segment of which nothing is believed before it is checked. ABI.md, Handshake; Segment
 * header; Class table.
 */
#define _GNU_SOURCE

#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum { DESCRIPTORS_MAX = 253 }; /* as many as one message of Linux can carry */
enum { DEADLINE_MS = 2000, CONNECT_RETRY_MS = 10 };

static int connect_writer(const char *path, int64_t deadline);
static uid_t writer_user(int fd);
static void send_hello(int fd, bool notify, int64_t deadline);
static size_t receive_reply(int fd, struct reply *reply, int *descriptor, int64_t deadline);
static int take_descriptor(struct msghdr *message);
static void check_reply(const struct reply *reply, size_t length, int descriptor);
static void wait_to_retry(int fd, short events, int64_t deadline, const char *call);
static int left_ms(int64_t deadline);
static int64_t now_ms(void);

static void map_segment(struct ring *ring, int descriptor, const struct reply *reply);
static void check_file(int fd, uint64_t segment_bytes);
static void check_header(const struct segment_header *h, const struct reply *reply);
static void check_layout(const struct segment_header *h, uint64_t file_bytes);
static void check_values(const struct segment_header *h);
static void check_classes(const struct segment_header *h);
static void check_text(const char *name, const char *text, size_t size, size_t least);
static size_t utf8_length(const uint8_t *text, size_t left);
static void require_finite(const char *name, const double *values, size_t count);
static void require(bool holds, const char *name, const char *what);
static bool lies_within(uint64_t offset, uint64_t bytes, uint64_t limit);

/* Handshake: ABI.md, Handshake. The connection stays open for as long as we read (step 6); no more is sent on it. */

void attach(struct ring *ring, const char *path)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    struct reply reply = {0};
    int descriptor;
    ring->socket = connect_writer(path, deadline);
    ring->writer_uid = writer_user(ring->socket);
    send_hello(ring->socket, ring->notify, deadline);
    size_t length = receive_reply(ring->socket, &reply, &descriptor, deadline);
    check_reply(&reply, length, descriptor);
    map_segment(ring, descriptor, &reply);
}

/* Step 1. Without blocking, so that a full backlog cannot hold us past the deadline: no event tells of room in it. */
static int connect_writer(const char *path, int64_t deadline)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        DIE("the path of a socket has 1 to %zu bytes: %s", sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, length);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        DIE("cannot make a socket: %s", strerror(errno));
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if ((errno != EAGAIN && errno != EINTR) || left_ms(deadline) == 0)
            DIE("cannot connect to %s: %s", path, strerror(errno));
        poll(NULL, 0, CONNECT_RETRY_MS);
    }
    return fd;
}

/* Step 1: which user the writer is. This reader has none to compare it with, so it shows it. */
static uid_t writer_user(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || length != sizeof peer)
        DIE("cannot tell which user the writer is: %s", strerror(errno));
    return peer.uid;
}

/* Step 2. A writer that refuses may have closed already; its reply is there all the same, so that is not an error. */
static void send_hello(int fd, bool notify, int64_t deadline)
{
    struct hello hello = {.abi_major = ABI_MAJOR, .abi_minor = ABI_MINOR, .flags = notify ? HELLO_NOTIFY : 0};
    memcpy(hello.magic, "OCCDHELO", sizeof hello.magic);
    while (send(fd, &hello, sizeof hello, MSG_NOSIGNAL) < 0) {
        if (errno == EPIPE || errno == ECONNRESET)
            return;
        wait_to_retry(fd, POLLOUT, deadline, "send a hello");
    }
}

/* Step 4. The length of the reply, cut to what this reader knows; *descriptor is -1 when none came with it. */
static size_t receive_reply(int fd, struct reply *reply, int *descriptor, int64_t deadline)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control;
    for (bool reset = false;;) {
        struct iovec data = {.iov_base = reply, .iov_len = sizeof *reply};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        ssize_t length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (length >= 0) {
            *descriptor = take_descriptor(&message);
            return (size_t)length;
        }
        if (errno == ECONNRESET && !reset)
            reset = true; /* reported once; what had arrived comes after it */
        else
            wait_to_retry(fd, POLLIN, deadline, "read a reply");
    }
}

/* ABI.md, Reply: the first descriptor is the segment, all others are closed. -1 when there is none. */
static int take_descriptor(struct msghdr *message)
{
    int taken = -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (taken >= 0)
                close(fd);
            else
                taken = fd;
        }
    }
    return taken;
}

/* ABI.md, Reply: `status`, then the version, and only then what another major version may have changed. */
static void check_reply(const struct reply *reply, size_t length, int descriptor)
{
    static const char *const reasons[] = {"accepted", "another major version", "no valid hello in time",
                                          "this user may not read the stream", "too many clients",
                                          "the writer is out of descriptors"};
    if (length == 0)
        DIE("the writer hung up without a reply");
    if (length < REPLY_COMMON_BYTES || memcmp(reply->magic, "OCCDRPLY", sizeof reply->magic) != 0)
        DIE("what the writer sent is not a reply");
    if (reply->status != 0 || reply->abi_major != ABI_MAJOR)
        DIE("refused: status %" PRIu32 " (%s), ABI %" PRIu32 ".%" PRIu32 " of the writer, ABI %d.%d of this reader",
            reply->status, reply->status <= 5 ? reasons[reply->status] : "unknown", reply->abi_major, reply->abi_minor,
            ABI_MAJOR, ABI_MINOR);
    if (length < sizeof *reply)
        DIE("a reply of %zu bytes is too short", length);
    if (descriptor < 0)
        DIE("no descriptor came with the reply");
}

/* After a call on the socket failed: waits until it may be tried again, or dies if that is of no use or too late. */
static void wait_to_retry(int fd, short events, int64_t deadline, const char *call)
{
    if (errno != EAGAIN && errno != EINTR)
        DIE("cannot %s: %s", call, strerror(errno));
    if (left_ms(deadline) == 0)
        DIE("could not %s within %d ms", call, DEADLINE_MS);
    struct pollfd wait = {.fd = fd, .events = events};
    poll(&wait, 1, left_ms(deadline));
}

static int left_ms(int64_t deadline)
{
    int64_t left = deadline - now_ms();
    return left > 0 ? (int)left : 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* The segment: step 5 of the handshake; ABI.md, Segment header. */

static void map_segment(struct ring *ring, int descriptor, const struct reply *reply)
{
    check_file(descriptor, reply->segment_bytes);
    void *mapping = mmap(NULL, reply->segment_bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapping == MAP_FAILED)
        DIE("cannot map the segment: %s", strerror(errno));
    close(descriptor);
    ring->words = mapping;
    copy_words(&ring->header, ring->words, sizeof ring->header);
    check_header(&ring->header, reply);
}

/* Before mapping. A file of this size with these seals cannot shrink under the mapping. */
static void check_file(int fd, uint64_t segment_bytes)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        DIE("segment refused: cannot read its seals: %s", strerror(errno));
    if ((seals & wanted) != wanted)
        DIE("segment refused: its seals are %#x, not %#x", (unsigned)seals, (unsigned)wanted);
    struct stat file;
    if (fstat(fd, &file) != 0)
        DIE("cannot read the size of the segment: %s", strerror(errno));
    if (file.st_size < HEADER_BYTES || (uint64_t)file.st_size != segment_bytes)
        DIE("segment refused: the file has %jd bytes, the reply says %" PRIu64, (intmax_t)file.st_size, segment_bytes);
}

/* Magic and version come first: nothing else means the same in another major version. */
static void check_header(const struct segment_header *h, const struct reply *reply)
{
    require(memcmp(h->magic, "OCCDRING", sizeof h->magic) == 0, "magic", "OCCDRING");
    if (h->abi_major != ABI_MAJOR)
        DIE("segment refused: ABI %" PRIu32 ".%" PRIu32 ", ABI %d.%d of this reader", h->abi_major, h->abi_minor,
            ABI_MAJOR, ABI_MINOR);
    check_layout(h, reply->segment_bytes);
    require(h->epoch != 0 && h->epoch == reply->epoch, "epoch", "that of the reply, and not 0");
    check_values(h);
}

/* Later lines calculate only with what earlier ones have bounded. */
static void check_layout(const struct segment_header *h, uint64_t file_bytes)
{
    require(h->segment_bytes == file_bytes, "segment_bytes", "the size of the file");
    require(h->control_offset == CONTROL_OFFSET, "control_offset", "1024");
    require(h->class_table_offset == CLASS_TABLE_OFFSET, "class_table_offset", "2048");
    require(h->class_bytes == sizeof(struct class_entry), "class_bytes", "64");
    require(h->class_count <= CLASSES_MAX, "class_count", "at most 64");
    require(h->slot_count >= SLOTS_MIN && h->slot_count <= SLOTS_MAX, "slot_count", "2 to 1024");
    require(h->labels_bytes >= 1 && h->labels_bytes <= LABELS_MAX, "labels_bytes", "1 to 2^30");
    require(h->header_bytes >= HEADER_BYTES, "header_bytes", "at least 8192");
    require(h->slot_header_bytes >= SLOT_HEADER_BYTES, "slot_header_bytes", "at least 256");
    require(h->slots_offset >= h->header_bytes, "slots_offset", "at least header_bytes");
    require(h->labels_offset >= h->slot_header_bytes, "labels_offset", "at least slot_header_bytes");
    require(h->slots_offset % ALIGNMENT == 0, "slots_offset", "a multiple of 64");
    require(h->slot_bytes % ALIGNMENT == 0, "slot_bytes", "a multiple of 64");
    require(h->slot_bytes <= file_bytes / h->slot_count, "slot_bytes", "such that slot_count slots fit the segment");
    require(lies_within(h->slots_offset, h->slot_bytes * h->slot_count, file_bytes), "slots_offset",
            "such that all slots lie within the segment");

    uint64_t padded = whole_words(h->labels_bytes);
    require(h->labels_offset % ALIGNMENT == 0, "labels_offset", "a multiple of 64");
    require(lies_within(h->labels_offset, padded, h->slot_bytes), "labels_offset", "such that labels end in the slot");
    if (h->confidence_bytes == 0) {
        require(h->confidence_offset == 0, "confidence_offset", "0, as confidence_bytes is");
        return;
    }
    require(h->confidence_bytes == h->labels_bytes, "confidence_bytes", "labels_bytes or 0");
    require(h->confidence_offset % ALIGNMENT == 0, "confidence_offset", "a multiple of 64");
    require(h->labels_offset + h->labels_bytes <= h->confidence_offset, "confidence_offset", "behind the labels");
    require(lies_within(h->confidence_offset, padded, h->slot_bytes), "confidence_offset",
            "such that confidences end in the slot");
}

/* What the values say, after check_layout. */
static void check_values(const struct segment_header *h)
{
    require(h->dims[0] >= 1 && h->dims[1] >= 1 && h->dims[2] >= 1, "dims", "at least 1");
    uint64_t columns = (uint64_t)h->dims[0] * h->dims[1];
    require(columns <= LABELS_MAX && columns * h->dims[2] == h->labels_bytes, "labels_bytes", "the product of dims");
    require_finite("voxel_size_m", &h->voxel_size_m, 1);
    require(h->voxel_size_m > 0, "voxel_size_m", "positive");
    require_finite("origin_m", h->origin_m, 3);
    require_finite("rectified_from_ego", h->rectified_from_ego, 16);
    require_finite("rectified_intrinsics_px", h->rectified_intrinsics_px, 4);
    require(h->trained <= 1, "trained", "0 or 1");
    check_text("frame", h->frame, sizeof h->frame, 1);
    check_text("stream", h->stream, sizeof h->stream, 1);
    check_text("producer", h->producer, sizeof h->producer, 0);
    check_classes(h);
}

/* ABI.md, Class table. */
static void check_classes(const struct segment_header *h)
{
    bool seen[256] = {false};
    for (uint32_t i = 0; i < h->class_count; i++) {
        const struct class_entry *entry = &h->classes[i];
        require(entry->id <= CLASS_ID_MAX, "id of a class", "at most 254");
        require(!seen[entry->id], "id of a class", "the only one of its value");
        seen[entry->id] = true;
        check_text("name of a class", entry->name, sizeof entry->name, 1);
    }
}

/* ABI.md, Conventions: UTF-8, then zero bytes to the end of the field. */
static void check_text(const char *name, const char *text, size_t size, size_t least)
{
    size_t length = strnlen(text, size);
    require(length >= least, name, "a text");
    for (size_t at = 0; at < length;) {
        size_t step = utf8_length((const uint8_t *)text + at, length - at);
        require(step > 0, name, "UTF-8");
        at += step;
    }
    for (size_t at = length; at < size; at++)
        require(text[at] == '\0', name, "padded with zero bytes");
}

/* Bytes of the character that `text` begins with, or 0 (RFC 3629: the second byte rules out what is too long or large). */
static size_t utf8_length(const uint8_t *text, size_t left)
{
    static const struct {
        uint8_t first_from, first_to, second_from, second_to, length;
    } forms[] = {{0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
                 {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
                 {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] < forms[i].first_from || text[0] > forms[i].first_to)
            continue;
        if (left < forms[i].length)
            return 0;
        if (forms[i].length > 1 && (text[1] < forms[i].second_from || text[1] > forms[i].second_to))
            return 0;
        for (size_t byte = 2; byte < forms[i].length; byte++)
            if (text[byte] < 0x80 || text[byte] > 0xBF)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static void require_finite(const char *name, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        require(isfinite(values[i]), name, "finite");
}

static void require(bool holds, const char *name, const char *what)
{
    if (!holds)
        DIE("segment refused: %s is not %s", name, what);
}

/* Without a sum that could wrap. */
static bool lies_within(uint64_t offset, uint64_t bytes, uint64_t limit)
{
    return offset <= limit && bytes <= limit - offset;
}
