/*
 * reader SOCKET COUNT [--notify]
 *
 * Attaches to a ring of grids and prints COUNT of them in order, from the newest at attach on, or from the first one to
 * be published. Written from ABI.md alone, and built from nothing but this directory and the C library; "ABI.md, X" in
 * a comment names its section X.
 *
 * Output: lines of `word key=value key=value ...`, each flushed, the keys always in this order:
 *
 *   stream epoch segment_bytes slot_count created_time_ns created_wall_offset_ns dims axes voxel_size_m origin_m
 *          rectified_from_ego rectified_intrinsics_px rectified_size_px frame network_sha256 engine_sha256 stream
 *          producer trained confidence newest abi_major abi_minor header_bytes control_offset class_table_offset
 *          class_bytes class_count slots_offset slot_bytes slot_header_bytes labels_offset labels_bytes
 *          confidence_offset confidence_bytes writer_uid
 *   class  id colour name                     once per class
 *   grid   sequence frame_id left_capture_time_ns right_capture_time_ns publish_time_ns wall_offset_ns capture_ns
 *          rectify_ns infer_ns label_ns publish_ns watch_ns skew_ns health calibration degradation epipolar_error_px
 *          pitch_error_rad roll_error_rad focal_error checksum labels_fnv64 confidence_fnv64
 *                                             once per grid
 *   missed N                                  N grids were overwritten before they were read (no key)
 *   gone                                      the writer hung up, and nothing is left to read
 *   status status_time_ns health degradation  what the writer said of itself last; the last line
 *
 * Names are ABI.md's; confidence (0 or 1: there are confidences), newest (at attach), writer_uid and the FNV-1a 64 of
 * labels and confidences (16 hexadecimal digits; confidence_fnv64=none without) are added. Integers are decimal, floats
 * %.17g or nan, dims XxYxZ, rectified_size_px WxH, other lists have commas. Digests, degradation and checksum (8 digits)
 * are hexadecimal, lower case, without 0x. Texts are quoted; bytes outside printable ASCII, and " and \, are \xNN.
 * Codes that this reader does not know are 0, and what a writer of 1.0 does not say is 0 or nan.
 *
 * Exit: 0 COUNT grids were printed; 1 an error or a refusal, one line on stderr; 2 bad usage; 3 gone.
 */
#define _GNU_SOURCE /* struct ucred, POLLRDHUP, F_GET_SEALS */

#include "ring.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <math.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FUTEX_SLEEP_MS = 100, POLL_SLEEP_MS = 1000 }; /* ABI.md, Waiting; Notification */

/* A copied grid. The buffers are as long as the labels and confidences, rounded up to whole words. */
struct grid {
    struct slot_header header;
    uint8_t *labels, *confidence;
};

static bool parse_count(const char *text, uint64_t *count);

static bool read_grids(const struct ring *ring, uint64_t newest, uint64_t count);
static uint8_t *make_buffer(uint64_t bytes);
static bool wait_for(const struct ring *ring, uint64_t n);
static void drain_notifications(int socket);
static bool hung_up(int socket);
static void sleep_while(const struct ring *ring, uint64_t newest);
static bool copy_grid(const struct ring *ring, uint64_t n, struct grid *grid);
static void verify_grid(const struct ring *ring, uint64_t n, const struct grid *grid);
static uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t count);
static uint64_t after_loss(const struct ring *ring, uint64_t lost);
static uint64_t load_newest(const struct ring *ring);

static void print_stream(const struct ring *ring, uint64_t newest);
static void print_classes(const struct segment_header *header);
static void print_grid(const struct segment_header *header, const struct grid *grid);
static void print_status(const struct ring *ring);
static uint64_t fnv64(const uint8_t *bytes, size_t count);
static void put_f64s(const char *key, const double *values, size_t count);
static void put_bytes(const char *key, const uint8_t *bytes, size_t count);
static void put_text(const char *key, const char *text, size_t size);
static uint64_t known(uint64_t code, uint64_t greatest);
static void end_line(void);

int main(int argc, char **argv)
{
    uint64_t count;
    bool notify = argc == 4 && strcmp(argv[3], "--notify") == 0;
    if ((argc != 3 && !notify) || !parse_count(argv[2], &count)) {
        fputs("usage: reader SOCKET COUNT [--notify]\n", stderr);
        return EXIT_USAGE;
    }
    static struct ring ring;
    ring.notify = notify;
    attach(&ring, argv[1]);
    uint64_t newest = load_newest(&ring);
    print_stream(&ring, newest);
    print_classes(&ring.header);
    bool complete = read_grids(&ring, newest, count);
    print_status(&ring);
    return complete ? EXIT_SUCCESS : EXIT_GONE;
}

static bool parse_count(const char *text, uint64_t *count)
{
    char *end;
    errno = 0;
    *count = strtoull(text, &end, 10);
    /* strtoull alone would take a sign, spaces and what is too large. */
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

/* Reading: ABI.md, Reading. False when the writer was gone before `count` grids were read. */

static bool read_grids(const struct ring *ring, uint64_t newest, uint64_t count)
{
    struct grid grid = {
        .labels = make_buffer(ring->header.labels_bytes),
        .confidence = make_buffer(ring->header.confidence_bytes),
    };
    uint64_t next = newest > 0 ? newest : 1;
    uint64_t had = 0;
    while (had < count && (load_newest(ring) >= next || wait_for(ring, next))) {
        if (copy_grid(ring, next, &grid)) {
            verify_grid(ring, next, &grid);
            print_grid(&ring->header, &grid);
            next++;
            had++;
        } else {
            uint64_t onward = after_loss(ring, next);
            printf("missed %" PRIu64, onward - next);
            end_line();
            next = onward;
        }
    }
    free(grid.labels);
    free(grid.confidence);
    if (had < count) {
        printf("gone");
        end_line();
    }
    return had == count;
}

/* One byte more than none, so that a stream without confidences has a buffer too. */
static uint8_t *make_buffer(uint64_t bytes)
{
    uint8_t *buffer = malloc(whole_words(bytes + 1));
    if (buffer == NULL)
        DIE("no memory for %" PRIu64 " bytes", bytes);
    return buffer;
}

/*
 * True when grid `n` has been published, false when the writer has hung up and it has not. In each round the socket is
 * looked at before `newest`: so a grid published just before the hang-up is seen, and one for which a notification has
 * been drained is not slept over.
 */
static bool wait_for(const struct ring *ring, uint64_t n)
{
    for (;;) {
        if (ring->notify)
            drain_notifications(ring->socket);
        bool gone = hung_up(ring->socket);
        uint64_t newest = load_newest(ring);
        if (newest >= n)
            return true;
        if (gone)
            return false;
        sleep_while(ring, newest);
    }
}

/* ABI.md, Notification: what they say is a hint, so all are taken off and none is looked into. */
static void drain_notifications(int socket)
{
    for (;;) {
        struct notification note;
        ssize_t length = recv(socket, &note, sizeof note, MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno != EAGAIN && errno != ECONNRESET)
            DIE("cannot read notifications: %s", strerror(errno));
        if (length <= 0)
            return;
    }
}

/* Queued datagrams do not hide a hang-up: Linux reports it beside them. */
static bool hung_up(int socket)
{
    struct pollfd look = {.fd = socket, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

/* Until `newest` may have changed. All outcomes are alike: the caller looks at `newest` and the socket again. */
static void sleep_while(const struct ring *ring, uint64_t newest)
{
    if (ring->notify) {
        struct pollfd wait = {.fd = ring->socket, .events = POLLIN | POLLRDHUP};
        poll(&wait, 1, POLL_SLEEP_MS);
        return;
    }
    struct timespec limit = {.tv_nsec = (long)FUTEX_SLEEP_MS * NS_PER_MS};
    syscall(SYS_futex, ring->words + CONTROL_OFFSET / WORD, FUTEX_WAIT, (uint32_t)newest, &limit, NULL, 0);
}

/* Steps 2 to 5; step 1 is the caller's. False when the grid has been overwritten, before the copy or during it. */
static bool copy_grid(const struct ring *ring, uint64_t n, struct grid *grid)
{
    const struct segment_header *h = &ring->header;
    const uint64_t *slot = ring->words + (h->slots_offset + (n - 1) % h->slot_count * h->slot_bytes) / WORD;
    if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) != 2 * n)
        return false;
    copy_words(&grid->header, slot, sizeof grid->header);
    copy_words(grid->labels, slot + h->labels_offset / WORD, whole_words(h->labels_bytes));
    copy_words(grid->confidence, slot + h->confidence_offset / WORD, whole_words(h->confidence_bytes));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(slot, __ATOMIC_RELAXED) == 2 * n;
}

/* Step 6. The locks said that the copy is whole: whatever does not fit now is the writer's doing. */
static void verify_grid(const struct ring *ring, uint64_t n, const struct grid *grid)
{
    const struct slot_header *slot = &grid->header;
    if (slot->sequence != n)
        DIE("the writer is broken: the sequence of grid %" PRIu64 " is %" PRIu64, n, slot->sequence);
    if (slot->epoch != ring->header.epoch)
        DIE("the writer is broken: the epoch of grid %" PRIu64 " is %" PRIu64, n, slot->epoch);
    uint32_t crc = crc32_update(0, grid->labels, ring->header.labels_bytes);
    crc = crc32_update(crc, grid->confidence, ring->header.confidence_bytes);
    crc = crc32_update(crc, (const uint8_t *)slot + CHECKSUM_FROM, CHECKSUM_TO - CHECKSUM_FROM);
    if (slot->checksum != crc)
        DIE("the writer is broken: the checksum of grid %" PRIu64 " is %08" PRIx32 ", its content gives %08" PRIx32, n,
            slot->checksum, crc);
}

/* ABI.md, Slot, "Checksum". Continues the CRC-32 `crc` over more bytes; starts from 0, as in zlib. */
static uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t count)
{
    static uint32_t table[256];
    if (table[1] == 0) {
        for (uint32_t i = 0; i < 256; i++) {
            table[i] = i;
            for (int bit = 0; bit < 8; bit++)
                table[i] = (table[i] >> 1) ^ ((table[i] & 1) != 0 ? 0xEDB88320u : 0);
        }
    }
    crc = ~crc;
    for (size_t i = 0; i < count; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xFF];
    return ~crc;
}

/*
 * Where to go on when `lost` has been overwritten. `newest` may be seen older than the lock that gave the loss away,
 * hence the floor; a sum is compared and not a difference, as `newest` may be less than `slot_count`.
 */
static uint64_t after_loss(const struct ring *ring, uint64_t lost)
{
    uint64_t onward = load_newest(ring) + 2;
    return onward > lost + 1 + ring->header.slot_count ? onward - ring->header.slot_count : lost + 1;
}

/* A number that stays below 2^63. Well below it, nothing that is calculated with numbers can wrap. */
static uint64_t load_newest(const struct ring *ring)
{
    uint64_t newest = __atomic_load_n(ring->words + CONTROL_OFFSET / WORD, __ATOMIC_ACQUIRE);
    if (newest > UINT64_MAX / 4)
        DIE("the writer is broken: newest is %" PRIu64, newest);
    return newest;
}

/* Output. Fields of the structure `from` are printed under their own names. */

#define PUT_U64(field) printf(" " #field "=%" PRIu64, (uint64_t)from->field)
#define PUT_I64(field) printf(" " #field "=%" PRId64, from->field)
#define PUT_CODE(field, greatest) printf(" " #field "=%" PRIu64, known(from->field, greatest))
#define PUT_F64(field) put_f64s(#field, &from->field, 1)
#define PUT_F64S(field) put_f64s(#field, from->field, sizeof from->field / sizeof *from->field)
#define PUT_BYTES(field) put_bytes(#field, from->field, sizeof from->field)
#define PUT_TEXT(field) put_text(#field, from->field, sizeof from->field)

static void print_stream(const struct ring *ring, uint64_t newest)
{
    const struct segment_header *from = &ring->header;
    printf("stream");
    PUT_U64(epoch), PUT_U64(segment_bytes), PUT_U64(slot_count);
    PUT_U64(created_time_ns), PUT_I64(created_wall_offset_ns);
    printf(" dims=%" PRIu32 "x%" PRIu32 "x%" PRIu32, from->dims[0], from->dims[1], from->dims[2]);
    PUT_CODE(axes, AXES_MAX), PUT_F64(voxel_size_m), PUT_F64S(origin_m);
    PUT_F64S(rectified_from_ego), PUT_F64S(rectified_intrinsics_px);
    printf(" rectified_size_px=%" PRIu32 "x%" PRIu32, from->rectified_size_px[0], from->rectified_size_px[1]);
    PUT_TEXT(frame), PUT_BYTES(network_sha256), PUT_BYTES(engine_sha256);
    PUT_TEXT(stream), PUT_TEXT(producer), PUT_U64(trained);
    printf(" confidence=%d newest=%" PRIu64, from->confidence_bytes != 0, newest);
    PUT_U64(abi_major), PUT_U64(abi_minor), PUT_U64(header_bytes);
    PUT_U64(control_offset), PUT_U64(class_table_offset), PUT_U64(class_bytes), PUT_U64(class_count);
    PUT_U64(slots_offset), PUT_U64(slot_bytes), PUT_U64(slot_header_bytes);
    PUT_U64(labels_offset), PUT_U64(labels_bytes), PUT_U64(confidence_offset), PUT_U64(confidence_bytes);
    printf(" writer_uid=%ju", (uintmax_t)ring->writer_uid);
    end_line();
}

static void print_classes(const struct segment_header *header)
{
    for (uint32_t i = 0; i < header->class_count; i++) {
        const struct class_entry *from = &header->classes[i];
        printf("class id=%d colour=%d,%d,%d", from->id, from->colour[0], from->colour[1], from->colour[2]);
        PUT_TEXT(name);
        end_line();
    }
}

static void print_grid(const struct segment_header *header, const struct grid *grid)
{
    const struct slot_header *from = &grid->header;
    printf("grid");
    PUT_U64(sequence), PUT_U64(frame_id), PUT_U64(left_capture_time_ns), PUT_U64(right_capture_time_ns);
    PUT_U64(publish_time_ns), PUT_I64(wall_offset_ns);
    PUT_U64(capture_ns), PUT_U64(rectify_ns), PUT_U64(infer_ns), PUT_U64(label_ns), PUT_U64(publish_ns);
    PUT_U64(watch_ns), PUT_I64(skew_ns), PUT_CODE(health, HEALTH_MAX), PUT_CODE(calibration, CALIBRATION_MAX);
    printf(" degradation=%" PRIx64, from->degradation); /* ABI.md, Conventions: unknown flags are kept */
    PUT_F64(epipolar_error_px);
    if (header->abi_minor >= RIG_SINCE_MINOR)
        PUT_F64(pitch_error_rad), PUT_F64(roll_error_rad), PUT_F64(focal_error);
    else /* ABI.md, Status: zero bytes that mean nothing */
        printf(" pitch_error_rad=nan roll_error_rad=nan focal_error=nan");
    printf(" checksum=%08" PRIx32, from->checksum);
    printf(" labels_fnv64=%016" PRIx64, fnv64(grid->labels, header->labels_bytes));
    if (header->confidence_bytes != 0)
        printf(" confidence_fnv64=%016" PRIx64, fnv64(grid->confidence, header->confidence_bytes));
    else
        printf(" confidence_fnv64=none");
    end_line();
}

/* ABI.md, Status. The time first: what is loaded after it is not older than it says. */
static void print_status(const struct ring *ring)
{
    uint64_t time_ns = 0, status = 0;
    if (ring->header.abi_minor >= STATUS_SINCE_MINOR) {
        time_ns = __atomic_load_n(ring->words + STATUS_OFFSET / WORD, __ATOMIC_ACQUIRE);
        status = __atomic_load_n(ring->words + STATUS_OFFSET / WORD + 1, __ATOMIC_RELAXED);
    }
    printf("status status_time_ns=%" PRIu64 " health=%" PRIu64 " degradation=%" PRIx64, time_ns,
           known(status & 0xFF, HEALTH_MAX), status >> 8);
    end_line();
}

/* FNV-1a, 64 bits. */
static uint64_t fnv64(const uint8_t *bytes, size_t count)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

static void put_f64s(const char *key, const double *values, size_t count)
{
    printf(" %s=", key);
    for (size_t i = 0; i < count; i++) {
        const char *comma = i > 0 ? "," : "";
        if (isnan(values[i])) /* printf would show the sign of a NaN */
            printf("%snan", comma);
        else
            printf("%s%.17g", comma, values[i]);
    }
}

static void put_bytes(const char *key, const uint8_t *bytes, size_t count)
{
    printf(" %s=", key);
    for (size_t i = 0; i < count; i++)
        printf("%02x", (unsigned)bytes[i]);
}

/* ABI.md, Conventions: text ends at the first zero byte, or fills its field. */
static void put_text(const char *key, const char *text, size_t size)
{
    printf(" %s=\"", key);
    for (size_t i = 0; i < size && text[i] != '\0'; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte > 0x7E || byte == '"' || byte == '\\')
            printf("\\x%02x", (unsigned)byte);
        else
            putchar(byte);
    }
    putchar('"');
}

/* ABI.md, Conventions: an unknown code is read as 0. */
static uint64_t known(uint64_t code, uint64_t greatest)
{
    return code <= greatest ? code : 0;
}

static void end_line(void)
{
    putchar('\n');
    if (fflush(stdout) != 0)
        DIE("cannot write: %s", strerror(errno));
}
