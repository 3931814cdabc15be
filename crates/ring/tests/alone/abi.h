/*
 * The tables of ABI.md as C, for a reader of major version 1. "ABI.md, X" names its section X.
 *
 * A table is a structure whose fields have ABI.md's names. Fields that are there since a minor version are marked; of a
 * writer of an older one they are zero bytes.
 */
#ifndef ABI_H
#define ABI_H

#include <stddef.h>
#include <stdint.h>

/* ABI.md, Conventions. Only on a little-endian 64-bit machine may the structures be copied as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(size_t) == 8 && sizeof(double) == 8, "Conventions");

enum { ABI_MAJOR = 1, ABI_MINOR = 1 };
enum { RIG_SINCE_MINOR = 1, STATUS_SINCE_MINOR = 1 };
enum { HEADER_BYTES = 8192, CONTROL_OFFSET = 1024, STATUS_OFFSET = 1152, CLASS_TABLE_OFFSET = 2048, CLASSES_MAX = 64 };
enum { SLOTS_MIN = 2, SLOTS_MAX = 1024, SLOT_HEADER_BYTES = 256, LABELS_MAX = 1 << 30, ALIGNMENT = 64 };
enum { HELLO_NOTIFY = 1 };                     /* ABI.md, Hello: flags, bit 0 */
enum { REPLY_COMMON_BYTES = 24 };              /* ABI.md, Handshake: bytes that mean the same in every major version */
enum { CHECKSUM_FROM = 8, CHECKSUM_TO = 240 }; /* ABI.md, Slot: bytes of the header that the checksum covers */
enum { CLASS_ID_MAX = 254, AXES_MAX = 2, HEALTH_MAX = 3, CALIBRATION_MAX = 3 };
enum { WORD = sizeof(uint64_t) };

struct hello { /* ABI.md, Hello */
    char magic[8];
    uint32_t abi_major, abi_minor;
    uint64_t flags;
    uint8_t reserved[40];
};

struct reply { /* ABI.md, Reply */
    char magic[8];
    uint32_t abi_major, abi_minor, status, reserved0;
    uint64_t epoch, segment_bytes;
    uint8_t reserved1[24];
};

struct notification { /* ABI.md, Notification */
    char magic[8];
    uint64_t epoch, sequence, reserved;
};

struct class_entry { /* ABI.md, Class table */
    uint8_t id, colour[3], reserved[4];
    char name[56];
};

struct segment_header { /* ABI.md, Segment header */
    char magic[8];
    uint32_t abi_major, abi_minor;
    uint64_t segment_bytes, header_bytes, control_offset, class_table_offset;
    uint32_t class_bytes, class_count;
    uint64_t slots_offset, slot_bytes;
    uint32_t slot_count, slot_header_bytes;
    uint64_t labels_offset, labels_bytes, confidence_offset, confidence_bytes, epoch, created_time_ns;
    int64_t created_wall_offset_ns;
    uint8_t reserved0[56];
    uint32_t dims[3], axes;
    double voxel_size_m, origin_m[3], rectified_from_ego[16], rectified_intrinsics_px[4];
    uint32_t rectified_size_px[2];
    char frame[32];
    uint8_t reserved1[72];
    uint8_t network_sha256[32], engine_sha256[32];
    char stream[64], producer[64];
    uint32_t trained;
    uint8_t reserved2[316];
    uint64_t newest; /* the control block: what changes while it is shared */
    uint8_t reserved3[120];
    uint64_t status_time_ns, status; /* since 1.1 */
    uint8_t reserved4[880];
    struct class_entry classes[CLASSES_MAX];
    uint8_t reserved5[2048];
};

struct slot_header { /* ABI.md, Slot */
    uint64_t lock, sequence, epoch, frame_id, left_capture_time_ns, right_capture_time_ns, publish_time_ns;
    int64_t wall_offset_ns;
    uint64_t capture_ns, rectify_ns, infer_ns, label_ns, publish_ns;
    uint64_t watch_ns; /* since 1.1 */
    uint8_t reserved0[16];
    int64_t skew_ns;
    uint32_t health, calibration;
    uint64_t degradation;
    double epipolar_error_px;
    double pitch_error_rad, roll_error_rad, focal_error; /* since 1.1 */
    uint8_t reserved1[56];
    uint32_t checksum;
    uint8_t reserved2[12];
};

/* Natural alignment gives the tables' offsets without padding: the sizes and fields late in each table show it. */
_Static_assert(sizeof(struct hello) == 64 && sizeof(struct reply) == 64, "Hello, Reply");
_Static_assert(sizeof(struct notification) == 32 && sizeof(struct class_entry) == 64, "Notification, Class table");
_Static_assert(offsetof(struct reply, epoch) == REPLY_COMMON_BYTES, "Handshake");
_Static_assert(sizeof(struct segment_header) == HEADER_BYTES && offsetof(struct segment_header, trained) == 704 &&
               offsetof(struct segment_header, newest) == CONTROL_OFFSET &&
               offsetof(struct segment_header, status_time_ns) == STATUS_OFFSET &&
               offsetof(struct segment_header, classes) == CLASS_TABLE_OFFSET, "Segment header");
_Static_assert(sizeof(struct slot_header) == SLOT_HEADER_BYTES && offsetof(struct slot_header, skew_ns) == 128 &&
               offsetof(struct slot_header, checksum) == CHECKSUM_TO, "Slot");

#endif
