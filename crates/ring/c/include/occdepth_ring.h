#ifndef OCCDEPTH_RING_H
#define OCCDEPTH_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// liboccdepth_ring: reads a stream of semantic occupancy grids. See crates/ring/README.md.
//
// Generated from crates/ring/c/src by the test `the_header_is_the_one_of_the_code`; do not edit.
//
// Rules for every function, where it does not say otherwise:
//
// - Ownership: the library takes nothing over and keeps no pointer that it is given. What a `_open` or `_new` returns is
//   the caller's, to be given back to the `_close` or `_free` of the same name, once.
// - Threads: a stream and a grid are for one thread at a time; which one may change. Different ones are independent.
//   Functions that take neither may be called from any thread. After a fork the child may use a stream only if the parent
//   does not any more.
// - Errors: a negative status; what it says is in occdepth_last_error(). Functions do not end the process, except where
//   there is no memory for a few bytes; out
//   parameters are written only where a function returns OCCDEPTH_STATUS_OK.
// - Signals: no function installs a handler or raises SIGPIPE. Waiting goes on after a signal handler returns.
// - Times are CLOCK_MONOTONIC nanoseconds unless named otherwise; lengths are metres in the frame of the grid.
// - Structures end in reserved words, which are 0, so that later versions can say more.

// What came of a call. Errors are negative; later versions may have others.
enum OccdepthStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It is done.
  OCCDEPTH_STATUS_OK = 0,
  // There was nothing in time.
  OCCDEPTH_STATUS_TIMEOUT = 1,
  // A pointer that must not be NULL is, a size does not fit, or a grid holds nothing yet.
  OCCDEPTH_STATUS_BAD_ARGUMENT = -1,
  // The writer refuses this user, or this client.
  OCCDEPTH_STATUS_REFUSED = -2,
  // The writer is another user than the one expected.
  OCCDEPTH_STATUS_WRONG_USER = -3,
  // The writer speaks another major version of the ABI.
  OCCDEPTH_STATUS_VERSION = -4,
  // Whoever listens is no writer of grids, or a broken one: what it sends was refused.
  OCCDEPTH_STATUS_MALFORMED = -5,
  // A grid is not what was published. The next call goes on with the one after it.
  OCCDEPTH_STATUS_CORRUPT = -6,
  // There is no memory, or address space, for a grid or for the mapping of a segment.
  OCCDEPTH_STATUS_NO_MEMORY = -7,
  // A call to the system failed.
  OCCDEPTH_STATUS_SYSTEM = -8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OccdepthStatus OccdepthStatus;
#else
typedef int32_t OccdepthStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How the producer judged itself. Values of later versions are read as unknown.
enum OccdepthHealth
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Not judged.
  OCCDEPTH_HEALTH_UNKNOWN = 0,
  // All as configured.
  OCCDEPTH_HEALTH_OK = 1,
  // Grids are valid, but something is not as configured: see `degradation`.
  OCCDEPTH_HEALTH_DEGRADED = 2,
  // Grids should not be relied on.
  OCCDEPTH_HEALTH_FAILING = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OccdepthHealth OccdepthHealth;
#else
typedef int32_t OccdepthHealth;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Whether the calibration still fits the images. Values of later versions are read as unknown.
enum OccdepthCalibration
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Not measured.
  OCCDEPTH_CALIBRATION_UNKNOWN = 0,
  // The epipolar error is within its bounds.
  OCCDEPTH_CALIBRATION_OK = 1,
  // The epipolar error has grown: the rig may have moved.
  OCCDEPTH_CALIBRATION_SUSPECT = 2,
  // The images no longer fit the calibration; grids are wrong.
  OCCDEPTH_CALIBRATION_LOST = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OccdepthCalibration OccdepthCalibration;
#else
typedef int32_t OccdepthCalibration;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the axes of a grid mean. All are right-handed. Values of later versions are read as unknown.
enum OccdepthAxes
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Not said.
  OCCDEPTH_AXES_UNKNOWN = 0,
  // x forward, y left, z up: the vehicle.
  OCCDEPTH_AXES_FORWARD_LEFT_UP = 1,
  // z up, x and y horizontal: a scene.
  OCCDEPTH_AXES_HORIZONTAL_UP = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OccdepthAxes OccdepthAxes;
#else
typedef int32_t OccdepthAxes;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a label says of its voxel.
enum OccdepthMeaning
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nobody knows.
  OCCDEPTH_MEANING_UNKNOWN = 0,
  // Nothing is there.
  OCCDEPTH_MEANING_FREE = 1,
  // Something is there.
  OCCDEPTH_MEANING_OCCUPIED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OccdepthMeaning OccdepthMeaning;
#else
typedef int32_t OccdepthMeaning;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a ray meets.
enum OccdepthRayEndKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It does not go through the grid, or is no ray: its numbers are not finite, or it has no direction.
  OCCDEPTH_RAY_END_KIND_OUTSIDE = 0,
  // Everything on its way that the grid has is free, from `from_m` to `to_m`.
  OCCDEPTH_RAY_END_KIND_FREE = 1,
  // Something, `to_m` away: `voxel`, of the class `label`.
  OCCDEPTH_RAY_END_KIND_OCCUPIED = 2,
  // A voxel of which nothing is known, `to_m` away: what is behind is not known to be free.
  OCCDEPTH_RAY_END_KIND_UNKNOWN = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OccdepthRayEndKind OccdepthRayEndKind;
#else
typedef int32_t OccdepthRayEndKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A copy of a grid, and of what its stream is. Reuse it.
typedef struct OccdepthGrid OccdepthGrid;

// The grids of one writer after another at one socket: it connects again when the writer was restarted.
typedef struct OccdepthStream OccdepthStream;

// What is said of a grid.
typedef struct OccdepthGridInfo {
  // Number of the grid in its segment, from 1, without gaps.
  uint64_t sequence;
  // The segment.
  uint64_t epoch;
  // The producer's number of the stereo pair; gaps are pairs without a grid.
  uint64_t frame_id;
  // When the left image was captured.
  uint64_t left_capture_time_ns;
  // When the right image was captured.
  uint64_t right_capture_time_ns;
  // When the grid was published.
  uint64_t publish_time_ns;
  // CLOCK_REALTIME minus CLOCK_MONOTONIC at publication: add it to a time above for nanoseconds since 1970.
  int64_t wall_offset_ns;
  // Capture time of the right image minus that of the left one.
  int64_t skew_ns;
  // From the exposure of the images to the pair in the pipeline's hands.
  uint64_t capture_ns;
  // Camera pixels to network input.
  uint64_t rectify_ns;
  // A look for signs that the calibration no longer fits; 0 of writers before ABI 1.1.
  uint64_t watch_ns;
  // Network input to logits.
  uint64_t infer_ns;
  // Logits to labels.
  uint64_t label_ns;
  // Labels into the ring.
  uint64_t publish_ns;
  // The producer's judgement of itself.
  OccdepthHealth health;
  // Whether the calibration still fits the images.
  OccdepthCalibration calibration;
  // Bits that say what is degraded; see `occdepth_degradation_name()`.
  uint64_t degradation;
  // RMS distance of points from their epipolar lines, pixels; NaN when not measured.
  double epipolar_error_px;
  // Pitch of the right camera against where the calibration has it, radians; NaN when not measured.
  double pitch_error_rad;
  // Roll of the right camera, likewise.
  double roll_error_rad;
  // Right focal length over left one, minus what the calibration says; NaN when not measured.
  double focal_error;
  // CRC-32 of the grid, as ABI.md has it.
  uint32_t checksum;
  // 0.
  uint64_t reserved[8];
} OccdepthGridInfo;

// A class that labels name.
typedef struct OccdepthClass {
  // The label, 0 to 254. Label 255 is no class: nothing is known of the voxel.
  uint8_t id;
  // Red, green, blue.
  uint8_t colour[3];
  // UTF-8, at most 56 bytes, and a NUL.
  char name[57];
} OccdepthClass;

// What a stream is. Fixed for the life of its writer; another `epoch` may be another description.
typedef struct OccdepthDescription {
  // Random; another one after every restart of the writer. Never 0.
  uint64_t epoch;
  // Name of the stream, UTF-8 with a NUL at the end.
  char stream[65];
  // Program and version of the writer, UTF-8 with a NUL at the end.
  char producer[65];
  // Name of the frame that the grid lives in, UTF-8 with a NUL at the end: "ego".
  char frame[33];
  // What its axes mean.
  OccdepthAxes axes;
  // Voxels along x, y and z. Voxel (ix, iy, iz) is byte `(ix * dims[1] + iy) * dims[2] + iz` of labels and confidences.
  uint32_t dims[3];
  // Minimum corner of the grid, metres.
  double origin_m[3];
  // Edge of a voxel, metres.
  double voxel_size_m;
  // 4 x 4, row by row, metres: from the frame of the grid to the rectified left camera (x right, y down, z forward).
  double rectified_from_ego[16];
  // Focal lengths and principal point of the rectified left camera, pixels; (0, 0) is the centre of the first pixel.
  double fx_px;
  // See `fx_px`.
  double fy_px;
  // See `fx_px`.
  double cx_px;
  // See `fx_px`.
  double cy_px;
  // Width of the rectified image, pixels.
  uint32_t width_px;
  // Height of the rectified image, pixels.
  uint32_t height_px;
  // How many of `classes` there are.
  uint32_t class_count;
  // The classes, each id once.
  struct OccdepthClass classes[64];
  // Whether grids have confidences.
  bool confidence;
  // Whether the network was trained; grids of one that was not mean nothing.
  bool trained;
  // SHA-256 of the network (the ONNX file).
  uint8_t network_sha256[32];
  // SHA-256 of what actually runs: the engine built from it, or the network itself.
  uint8_t engine_sha256[32];
  // Grids that the ring holds: a reader can be late by one less.
  uint32_t slot_count;
  // Version of the ABI that the writer speaks.
  uint32_t abi_major;
  // See `abi_major`.
  uint32_t abi_minor;
  // The user that writes.
  uint32_t writer_uid;
  // Its process, as this one sees it; 0 from another pid namespace.
  int32_t writer_pid;
  // 0.
  uint64_t reserved[8];
} OccdepthDescription;

// How to read a stream. Start from `occdepth_options()`.
typedef struct OccdepthOptions {
  // Not 0, for event loops: the writer tells of every grid, so that `occdepth_stream_fd()` becomes readable. 0 at first.
  uint8_t notify;
  // Not 0: checksums are verified. 1 at first.
  uint8_t verify_checksum;
  // How long the writer may take for each step of the handshake, milliseconds. 2000 at first.
  uint32_t handshake_timeout_ms;
  // The user that the writer must be; -1, as it is at first: any.
  int64_t expected_uid;
  // 0.
  uint64_t reserved[4];
} OccdepthOptions;

// What is said of a grid by the stream that delivered it.
typedef struct OccdepthFollowed {
  // Number of the grid in its segment, from 1, without gaps.
  uint64_t sequence;
  // The segment; another one after every restart of the writer.
  uint64_t epoch;
  // How many grids were overwritten or passed over since the one before.
  uint64_t missed;
  // Whether this is the first grid of another writer than the one before: the description may have changed.
  bool restarted;
  // 0.
  uint64_t reserved[4];
} OccdepthFollowed;

// How a writer is, whether or not it publishes grids.
typedef struct OccdepthWriterStatus {
  // When it said so: with every grid, and several times a second while it waits for its cameras.
  uint64_t time_ns;
  // Its judgement of itself.
  OccdepthHealth health;
  // Bits that say what is degraded; see `occdepth_degradation_name()`.
  uint64_t degradation;
  // 0.
  uint64_t reserved[4];
} OccdepthWriterStatus;

// A voxel that is occupied.
typedef struct OccdepthVoxel {
  // Indices along x, y and z.
  uint32_t index[3];
  // Its class.
  uint8_t label;
} OccdepthVoxel;

// The centre of an occupied voxel.
typedef struct OccdepthPoint {
  // Metres in the frame of the grid.
  double at_m[3];
  // Its class.
  uint8_t label;
} OccdepthPoint;

// A question: what does something meet that goes from a point in a direction?
typedef struct OccdepthRay {
  // Where it starts, metres in the frame of the grid; inside of it or not.
  double from_m[3];
  // Where it goes; of any length but 0.
  double direction[3];
  // How far it goes at most, metres; INFINITY: through all of the grid.
  double at_most_m;
} OccdepthRay;

// The answer. Distances are metres from where the ray starts.
typedef struct OccdepthRayEnd {
  // What it meets.
  OccdepthRayEndKind kind;
  // Its class; 255 where there is none.
  uint8_t label;
  // Which voxel it meets; 0 where there is none.
  uint32_t voxel[3];
  // Where it enters the grid, where everything is free; else 0.
  double from_m;
  // How far it goes until it meets something, leaves the grid, or ends in it; 0 outside.
  double to_m;
} OccdepthRayEnd;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// An empty grid.
//
// Ownership: the caller's, to be given to `occdepth_grid_free()`. Threads: any. Errors: none.
struct OccdepthGrid *occdepth_grid_new(void);

// Frees a grid, and what `occdepth_grid_labels()` and `_confidence()` returned with it.
//
// Ownership: takes `grid` back; NULL is nothing to do. Threads: none may use it meanwhile. Errors: none.
//
// # Safety
// `grid` is NULL or from `occdepth_grid_new()`, and was not freed before.
void occdepth_grid_free(struct OccdepthGrid *grid);

// The labels, u8 [X, Y, Z], z fastest: class ids, 255 unknown. `count` may be NULL.
//
// Ownership: the grid's; good until the next call that is given the grid to change or to free.
// Threads: as the grid.
// Errors: NULL, and a count of 0, where the grid holds nothing.
//
// # Safety
// `grid` is NULL or open; `count` is NULL or has room.
const uint8_t *occdepth_grid_labels(const struct OccdepthGrid *grid, size_t *count);

// The confidences, u8 [X, Y, Z], 255 = probability 1. `count` may be NULL.
//
// Ownership, threads: as for `occdepth_grid_labels()`.
// Errors: NULL, and a count of 0, where the grid holds nothing or the stream has no confidences.
//
// # Safety
// `grid` is NULL or open; `count` is NULL or has room.
const uint8_t *occdepth_grid_confidence(const struct OccdepthGrid *grid, size_t *count);

// What is said of the grid.
//
// Ownership: a copy.
// Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing.
//
// # Safety
// `grid` is NULL or open; `info` is NULL or has room.
OccdepthStatus occdepth_grid_info(const struct OccdepthGrid *grid, struct OccdepthGridInfo *info);

// What the stream is that the grid was copied from; unlike `occdepth_stream_describe()` this cannot be a newer one.
//
// Ownership: the grid's; good until the next call that is given the grid to change or to free.
// Threads: as the grid.
// Errors: NULL where the grid holds nothing.
//
// # Safety
// `grid` is NULL or open.
const struct OccdepthDescription *occdepth_grid_describe(const struct OccdepthGrid *grid);

// Age of the images at `now_ns`, counted from the earlier of the two captures, nanoseconds; 0 where that is later.
//
// Ownership: none. Threads: as the grid. Errors: UINT64_MAX where the grid holds nothing: older than anything.
//
// # Safety
// `grid` is NULL or open.
uint64_t occdepth_grid_age_ns(const struct OccdepthGrid *grid, uint64_t now_ns);

// CLOCK_MONOTONIC now, nanoseconds.
//
// Ownership: none. Threads: any. Errors: none.
uint64_t occdepth_monotonic_now_ns(void);

// What the last call on this thread that failed had to say: UTF-8, in English, never NULL.
//
// Ownership: the library's; good until the next failure on this thread.
// Threads: each has its own.
// Errors: none.
const char *occdepth_last_error(void);

// The name of a judgement, for people: "degraded".
//
// Ownership: the library's, for ever. Threads: any. Errors: "unknown" for values that this version does not know.
const char *occdepth_health_name(int32_t health);

// The name of a state of the calibration, for people: "suspect".
//
// Ownership: the library's, for ever. Threads: any. Errors: "unknown" for values that this version does not know.
const char *occdepth_calibration_name(int32_t calibration);

// The name of a bit (0 to 63) of `degradation`, for people: "late".
//
// Ownership: the library's, for ever. Threads: any. Errors: NULL for bits that this version does not know.
const char *occdepth_degradation_name(uint32_t bit);

// The version of the ring's ABI that this library speaks: the major in the upper 16 bits, the minor in the lower.
//
// Ownership: none. Threads: any. Errors: none.
uint32_t occdepth_abi_version(void);

// Options as they are at first.
//
// Ownership: none. Threads: any. Errors: none.
struct OccdepthOptions occdepth_options(void);

// Opens the stream at `socket`. Does not connect yet, so there need be no writer.
//
// `options` may be NULL, for those of `occdepth_options()`.
//
// Ownership: `*stream` is the caller's, to be given to `occdepth_stream_close()`.
// Threads: any.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT; OCCDEPTH_STATUS_SYSTEM where no descriptors are left.
//
// # Safety
// Pointers are NULL or point to what their types say; `socket` to a NUL-terminated text.
OccdepthStatus occdepth_stream_open(const char *socket,
                                    const struct OccdepthOptions *options,
                                    struct OccdepthStream **stream);

// Closes a stream: hangs up and unmaps. Grids stay the caller's.
//
// Ownership: takes `stream` back; NULL is nothing to do.
// Threads: none may use the stream meanwhile.
// Errors: none.
//
// # Safety
// `stream` is NULL or from `occdepth_stream_open()`, and was not closed before.
void occdepth_stream_close(struct OccdepthStream *stream);

// A descriptor for event loops (poll for input): readable when `occdepth_stream_next()` or `_newest()` with a timeout of
// 0 has something to do, which is to deliver a grid, or to connect. One call each time will do. Without
// `OccdepthOptions::notify` grids do not make it readable.
//
// Ownership: the stream's: poll it, and do nothing else with it. It stays the same until the stream is closed.
// Threads: as the stream.
// Errors: -1 for NULL.
//
// # Safety
// `stream` is NULL or an open stream.
int occdepth_stream_fd(const struct OccdepthStream *stream);

// Copies the next grid into `grid`, in order, waiting at most `timeout_ms` milliseconds for it; less than 0: for ever.
//
// The first is the newest at the time of the first connection; of a writer that came later, the oldest that can still be
// had. Grids that were overwritten before they were read are counted in `followed->missed`. With a timeout of 0 it does
// not wait, but may connect, for which a writer that is there has 50 ms a step. `followed` may be NULL.
//
// Ownership: `grid` stays the caller's; reuse it: only the first copy, and the first after a restart, takes memory.
// Threads: as stream and grid.
// Errors: OCCDEPTH_STATUS_TIMEOUT when there is none in time, also while there is no writer. Those that waiting does not
// cure: REFUSED, WRONG_USER, VERSION, MALFORMED, CORRUPT, NO_MEMORY, SYSTEM; a later call tries again. After CORRUPT and
// NO_MEMORY the grid holds nothing.
//
// # Safety
// `stream` and `grid` are NULL or open; `followed` is NULL or has room.
OccdepthStatus occdepth_stream_next(struct OccdepthStream *stream,
                                    struct OccdepthGrid *grid,
                                    int64_t timeout_ms,
                                    struct OccdepthFollowed *followed);

// As `occdepth_stream_next()`, but the newest grid, for whoever acts on the world as it is now. Grids that are passed over
// for it count as missed; the last one is not delivered twice.
//
// Ownership, threads, errors: as for `occdepth_stream_next()`.
//
// # Safety
// `stream` and `grid` are NULL or open; `followed` is NULL or has room.
OccdepthStatus occdepth_stream_newest(struct OccdepthStream *stream,
                                      struct OccdepthGrid *grid,
                                      int64_t timeout_ms,
                                      struct OccdepthFollowed *followed);

// What the stream is, as its present writer says.
//
// Ownership: a copy.
// Threads: as the stream.
// Errors: OCCDEPTH_STATUS_TIMEOUT while there is no writer; BAD_ARGUMENT.
//
// # Safety
// `stream` is NULL or open; `description` is NULL or has room.
OccdepthStatus occdepth_stream_describe(const struct OccdepthStream *stream, struct OccdepthDescription *description);

// How the writer is: what there is to go by while no grids come. A fresh status that says "source interrupted" is a writer
// that waits for its cameras; one much older than a grid takes to compute is a writer that hangs.
//
// Ownership: a copy.
// Threads: as the stream.
// Errors: OCCDEPTH_STATUS_TIMEOUT while there is no writer, or it has said nothing (those before ABI 1.1 never do);
// BAD_ARGUMENT.
//
// # Safety
// `stream` is NULL or open; `status` is NULL or has room.
OccdepthStatus occdepth_stream_writer_status(const struct OccdepthStream *stream,
                                             struct OccdepthWriterStatus *status);

// Calls `found` for every socket in `directory`, by name: with what is published there, or with NULL and the reason why
// it cannot be read. Each takes at most half a second for each step of the handshake.
//
// Ownership: what `found` is given is the library's, and good until it returns. `context` is handed on to it.
// Threads: any; `found` is called on this one.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT; SYSTEM when the directory cannot be read.
//
// # Safety
// `directory` is NULL or a NUL-terminated text; `found` may be called with `context`, and does not unwind.
OccdepthStatus occdepth_discover(const char *directory, void (*found)(const char *socket,
                                                                      const struct OccdepthDescription *description,
                                                                      const char *error,
                                                                      void *context), void *context);

// Says which labels mean free space, for all views of this grid from now on, whatever stream is copied into it. All other
// classes of the stream are occupied; 255 and labels of no class are unknown. With `labels` NULL: what the names of the
// classes say ("empty", "free"; the lowest id where none is named so), as at first.
//
// Ownership: copied.
// Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: `grid` is NULL, or there are more than 256.
//
// # Safety
// `grid` is NULL or open; `labels` is NULL or has `count` bytes.
OccdepthStatus occdepth_grid_set_free(struct OccdepthGrid *grid,
                                      const uint8_t *labels,
                                      size_t count);

// The label of voxel (x, y, z) and what it means. Out parameters may be NULL.
//
// Ownership: copies. Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: outside the grid, or it holds nothing.
//
// # Safety
// `grid` is NULL or open; `label` and `meaning` are NULL or have room.
OccdepthStatus occdepth_grid_voxel(const struct OccdepthGrid *grid,
                                   uint32_t x,
                                   uint32_t y,
                                   uint32_t z,
                                   uint8_t *label,
                                   OccdepthMeaning *meaning);

// Every occupied voxel, in the order of the labels: the first `capacity` of them into `out`, and how many there are into
// `count`. Ask with a capacity of 0 (`out` may be NULL then), or have room for every voxel.
//
// Ownership: copies. Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing.
//
// # Safety
// `grid` is NULL or open; `out` has room for `capacity`; `count` is NULL or has room.
OccdepthStatus occdepth_grid_occupied(const struct OccdepthGrid *grid,
                                      struct OccdepthVoxel *out,
                                      size_t capacity,
                                      size_t *count);

// The centre of every occupied voxel, metres in the frame of the grid (for a vehicle's, the ego frame), and its class;
// otherwise as `occdepth_grid_occupied()`.
//
// Ownership: copies. Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing.
//
// # Safety
// `grid` is NULL or open; `out` has room for `capacity`; `count` is NULL or has room.
OccdepthStatus occdepth_grid_points(const struct OccdepthGrid *grid,
                                    struct OccdepthPoint *out,
                                    size_t capacity,
                                    size_t *count);

// The 2.5-D height map, f32 [X, Y]: for each column the height of the upper face of its highest occupied voxel, metres
// along z in the frame of the grid; NaN where none is occupied. Column (ix, iy) is value `ix * dims[1] + iy`.
//
// Ownership: copies. Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: `count` is not X times Y, or the grid holds nothing.
//
// # Safety
// `grid` is NULL or open; `out` is NULL or has room for `count`.
OccdepthStatus occdepth_grid_height_map(const struct OccdepthGrid *grid, float *out, size_t count);

// The bird's-eye class map, u8 [X, Y]: for each column the class of its highest occupied voxel; where none is, the label of
// its highest free one; 255 where nothing is known of any.
//
// Ownership: copies. Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: `count` is not X times Y, or the grid holds nothing.
//
// # Safety
// `grid` is NULL or open; `out` is NULL or has room for `count`.
OccdepthStatus occdepth_grid_birds_eye(const struct OccdepthGrid *grid,
                                       uint8_t *out,
                                       size_t count);

// Follows a ray through the grid until something is in the way: every voxel that it passes through is looked at.
//
// Ownership: copies. Threads: as the grid.
// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing. A ray that is none is OUTSIDE.
//
// # Safety
// `grid` is NULL or open; `ray` is NULL or a ray; `end` is NULL or has room.
OccdepthStatus occdepth_grid_cast(const struct OccdepthGrid *grid,
                                  const struct OccdepthRay *ray,
                                  struct OccdepthRayEnd *end);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OCCDEPTH_RING_H */
