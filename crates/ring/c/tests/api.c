// Every function of occdepth_ring.h, what it does and what it refuses, against the writer.
#include "publisher.h"

#include <errno.h>
#include <math.h>
#include <occdepth_ring.h>
#include <poll.h>
#include <time.h>

enum { X = 5, Y = 3, Z = 7, VOXELS = X * Y * Z };
static const int64_t PLENTY_MS = 30000;

static void nothing_is_asked_of_null(void);
static void what_cannot_be_is_an_error(const char *directory);
static void description_and_grids_are_those_of_the_writer(const char *program, const char *socket);
static void views_agree_with_brute_force(const OccdepthGrid *grid);
static void free_labels_can_be_chosen(OccdepthGrid *grid);
static void rays_end_where_something_is(OccdepthGrid *grid);
static void the_descriptor_polls_through_restarts(const char *program, const char *socket);
static void grids_that_were_passed_over_are_counted(const char *program, const char *socket);
static void streams_are_discovered(const char *program, const char *directory, const char *socket);
static void names_are_known(void);

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *program = argv[1], *directory = argv[2];
    char socket[256];
    CHECK(snprintf(socket, sizeof socket, "%s/front.sock", directory) < (int)sizeof socket);

    CHECK(occdepth_abi_version() == ((1u << 16) | 1u));
    nothing_is_asked_of_null();
    what_cannot_be_is_an_error(directory);
    description_and_grids_are_those_of_the_writer(program, socket);
    the_descriptor_polls_through_restarts(program, socket);
    grids_that_were_passed_over_are_counted(program, socket);
    streams_are_discovered(program, directory, socket);
    names_are_known();
    puts("c api: ok");
    return 0;
}

static void nothing_is_asked_of_null(void) {
    size_t count = 7;
    CHECK(occdepth_stream_open(NULL, NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(strstr(occdepth_last_error(), "NULL") != NULL);
    OccdepthStream *stream = NULL;
    CHECK(occdepth_stream_open(NULL, NULL, &stream) == OCCDEPTH_STATUS_BAD_ARGUMENT && stream == NULL);
    CHECK(occdepth_stream_fd(NULL) == -1);
    CHECK(occdepth_stream_next(NULL, NULL, 0, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_stream_newest(NULL, NULL, 0, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_stream_describe(NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_stream_writer_status(NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_discover(NULL, NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    occdepth_stream_close(NULL);
    occdepth_grid_free(NULL);

    // An empty grid is as good as none.
    OccdepthGrid *empty = occdepth_grid_new();
    OccdepthGrid *grids[] = {NULL, empty};
    for (size_t i = 0; i < 2; ++i) {
        OccdepthGrid *grid = grids[i];
        uint8_t bytes[1];
        float floats[1];
        CHECK(occdepth_grid_labels(grid, &count) == NULL && count == 0);
        CHECK(occdepth_grid_confidence(grid, NULL) == NULL);
        CHECK(occdepth_grid_info(grid, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
        CHECK(occdepth_grid_describe(grid) == NULL);
        CHECK(occdepth_grid_age_ns(grid, 5) == UINT64_MAX);
        CHECK(occdepth_grid_voxel(grid, 0, 0, 0, NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
        CHECK(occdepth_grid_occupied(grid, NULL, 0, &count) == OCCDEPTH_STATUS_BAD_ARGUMENT);
        CHECK(occdepth_grid_points(grid, NULL, 0, &count) == OCCDEPTH_STATUS_BAD_ARGUMENT);
        CHECK(occdepth_grid_height_map(grid, floats, 1) == OCCDEPTH_STATUS_BAD_ARGUMENT);
        CHECK(occdepth_grid_birds_eye(grid, bytes, 1) == OCCDEPTH_STATUS_BAD_ARGUMENT);
        CHECK(occdepth_grid_cast(grid, NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    }
    CHECK(occdepth_grid_set_free(NULL, NULL, 0) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    const uint8_t labels[1] = {0};
    CHECK(occdepth_grid_set_free(empty, labels, 257) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    occdepth_grid_free(empty);
}

static void what_cannot_be_is_an_error(const char *directory) {
    OccdepthOptions options = occdepth_options();
    CHECK(options.notify == 0 && options.verify_checksum == 1 && options.expected_uid == -1);
    CHECK(options.handshake_timeout_ms == 2000);
    OccdepthStream *stream = NULL;
    options.reserved[3] = 1;
    CHECK(occdepth_stream_open("x", &options, &stream) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    options = occdepth_options();
    options.expected_uid = INT64_C(1) << 32;
    CHECK(occdepth_stream_open("x", &options, &stream) == OCCDEPTH_STATUS_BAD_ARGUMENT);

    // A path that cannot be a socket's is only found out when it connects.
    char path[300];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    CHECK(occdepth_stream_open(path, NULL, &stream) == OCCDEPTH_STATUS_OK);
    OccdepthGrid *grid = occdepth_grid_new();
    CHECK(occdepth_stream_next(stream, grid, 0, NULL) == OCCDEPTH_STATUS_SYSTEM);
    CHECK(strstr(occdepth_last_error(), "107") != NULL);
    occdepth_stream_close(stream);

    // Nobody there is no error, but nothing in time.
    CHECK(snprintf(path, sizeof path, "%s/nobody", directory) > 0);
    CHECK(occdepth_stream_open(path, NULL, &stream) == OCCDEPTH_STATUS_OK);
    OccdepthDescription description;
    OccdepthWriterStatus status;
    CHECK(occdepth_stream_next(stream, grid, 20, NULL) == OCCDEPTH_STATUS_TIMEOUT);
    CHECK(occdepth_stream_newest(stream, grid, 0, NULL) == OCCDEPTH_STATUS_TIMEOUT);
    CHECK(occdepth_stream_describe(stream, &description) == OCCDEPTH_STATUS_TIMEOUT);
    CHECK(occdepth_stream_writer_status(stream, &status) == OCCDEPTH_STATUS_TIMEOUT);
    occdepth_stream_close(stream);
    occdepth_grid_free(grid);
}

// The values are those of crates/ring/examples/publish.rs.
static void check_description(const OccdepthDescription *d) {
    CHECK(strcmp(d->stream, "front") == 0 && strcmp(d->producer, "ring publish example") == 0);
    CHECK(strcmp(d->frame, "ego") == 0 && d->axes == OCCDEPTH_AXES_FORWARD_LEFT_UP);
    CHECK(d->dims[0] == X && d->dims[1] == Y && d->dims[2] == Z);
    CHECK(d->origin_m[0] == 0.0 && d->origin_m[1] == -25.6 && d->origin_m[2] == -2.0 && d->voxel_size_m == 0.2);
    const double rectified_from_ego[16] = {0, -1, 0, 0.06, 0, 0, -1, -0.08, 1, 0, 0, -0.27, 0, 0, 0, 1};
    CHECK(memcmp(d->rectified_from_ego, rectified_from_ego, sizeof rectified_from_ego) == 0);
    CHECK(d->fx_px == 707.0 && d->fy_px == 707.5 && d->cx_px == 601.75 && d->cy_px == 183.25);
    CHECK(d->width_px == 1220 && d->height_px == 370);
    CHECK(d->class_count == 3 && d->classes[1].id == 1 && strcmp(d->classes[1].name, "car") == 0);
    CHECK(d->classes[2].id == 254 && strcmp(d->classes[2].name, "Stra\xc3\x9f""enbahn") == 0);
    CHECK(d->classes[2].colour[0] == 255 && d->classes[2].colour[2] == 253 && d->classes[3].name[0] == 0);
    CHECK(d->confidence && d->trained && d->slot_count == 4 && d->abi_major == 1 && d->abi_minor == 1);
    CHECK(d->network_sha256[31] == 31 && d->engine_sha256[31] == 224);
    CHECK(d->writer_uid == getuid() && d->writer_pid > 0 && d->epoch != 0);
}

static void check_grid(const OccdepthGrid *grid, const OccdepthFollowed *followed, uint64_t frame) {
    size_t count = 0;
    const uint8_t *labels = occdepth_grid_labels(grid, &count);
    CHECK(labels != NULL && count == VOXELS);
    const uint8_t *confidence = occdepth_grid_confidence(grid, &count);
    CHECK(confidence != NULL && count == VOXELS);
    for (size_t i = 0; i < VOXELS; ++i) {
        CHECK(labels[i] == published_label(frame, i) && confidence[i] == published_confidence(frame, i));
    }
    OccdepthGridInfo info;
    CHECK(occdepth_grid_info(grid, &info) == OCCDEPTH_STATUS_OK);
    CHECK(info.sequence == followed->sequence && info.epoch == followed->epoch && info.frame_id == frame);
    CHECK(info.left_capture_time_ns == frame * 1000 + 1 && info.right_capture_time_ns == frame * 1000 + 18);
    CHECK(info.skew_ns == 17 && info.capture_ns == frame + 100 && info.rectify_ns == frame + 200);
    CHECK(info.watch_ns == frame + 500 && info.infer_ns == frame + 300 && info.label_ns == frame + 400);
    CHECK(info.health == OCCDEPTH_HEALTH_DEGRADED && info.calibration == OCCDEPTH_CALIBRATION_SUSPECT);
    CHECK(info.degradation == ((UINT64_C(1) << 60) | 2));
    if (frame % 4 == 0) {
        CHECK(isnan(info.epipolar_error_px) && isnan(info.pitch_error_rad) && isnan(info.focal_error));
    } else {
        CHECK(info.epipolar_error_px == (double)frame / 8 && info.pitch_error_rad == (double)frame / 1024);
        CHECK(info.roll_error_rad == (double)frame / -512 && info.focal_error == (double)frame / 128);
    }
    CHECK(info.publish_time_ns <= occdepth_monotonic_now_ns() && info.publish_ns > 0);
    const double wall_s = ((double)info.publish_time_ns + (double)info.wall_offset_ns) / 1e9;
    CHECK(fabs(wall_s - (double)time(NULL)) < 60);
    CHECK(occdepth_grid_age_ns(grid, frame * 1000 + 6) == 5 && occdepth_grid_age_ns(grid, 0) == 0);
}

static void description_and_grids_are_those_of_the_writer(const char *program, const char *socket) {
    struct publisher publisher = start_publisher(program, socket, "1");
    OccdepthStream *stream = NULL;
    OccdepthGrid *grid = occdepth_grid_new();
    OccdepthFollowed followed;
    CHECK(occdepth_stream_open(socket, NULL, &stream) == OCCDEPTH_STATUS_OK);
    OccdepthDescription description;
    // A busy machine may need several goes to connect.
    for (int64_t waited_ms = 0; occdepth_stream_describe(stream, &description) != OCCDEPTH_STATUS_OK; waited_ms += 100) {
        CHECK(waited_ms < PLENTY_MS);
        CHECK(occdepth_stream_next(stream, grid, 100, &followed) == OCCDEPTH_STATUS_TIMEOUT);
    }
    check_description(&description);
    OccdepthWriterStatus status;
    CHECK(occdepth_stream_writer_status(stream, &status) == OCCDEPTH_STATUS_TIMEOUT);

    for (uint64_t frame = 1; frame <= 9; ++frame) {
        publish(&publisher, 1);
        CHECK(occdepth_stream_next(stream, grid, PLENTY_MS, &followed) == OCCDEPTH_STATUS_OK);
        CHECK(followed.sequence == frame && followed.epoch == description.epoch);
        CHECK(followed.missed == 0 && !followed.restarted);
        check_grid(grid, &followed, frame);
        CHECK(occdepth_stream_writer_status(stream, &status) == OCCDEPTH_STATUS_OK);
        CHECK(status.health == OCCDEPTH_HEALTH_DEGRADED && status.degradation == 2 && status.time_ns > 0);
        views_agree_with_brute_force(grid);
    }
    check_description(occdepth_grid_describe(grid));
    free_labels_can_be_chosen(grid);
    rays_end_where_something_is(grid);
    // A wait that ends without a grid leaves the grid as it was.
    CHECK(occdepth_stream_next(stream, grid, 1, NULL) == OCCDEPTH_STATUS_TIMEOUT);
    check_grid(grid, &followed, 9);
    kill_publisher(&publisher);

    // The writer of another user than the one expected.
    publisher = start_publisher(program, socket, "1");
    occdepth_stream_close(stream);
    OccdepthOptions options = occdepth_options();
    options.expected_uid = 987654;
    CHECK(occdepth_stream_open(socket, &options, &stream) == OCCDEPTH_STATUS_OK);
    CHECK(occdepth_stream_next(stream, grid, PLENTY_MS, NULL) == OCCDEPTH_STATUS_WRONG_USER);
    CHECK(strstr(occdepth_last_error(), "987654") != NULL);
    occdepth_stream_close(stream);
    check_grid(grid, &followed, 9); // grids outlive their stream
    kill_publisher(&publisher);
    occdepth_grid_free(grid);
}

static int is_occupied(uint8_t label) {
    return label == 1 || label == 254; // of the classes, "empty" is free; other labels are no class
}

static void views_agree_with_brute_force(const OccdepthGrid *grid) {
    const uint8_t *labels = occdepth_grid_labels(grid, NULL);
    static OccdepthVoxel voxels[VOXELS];
    static OccdepthPoint points[VOXELS];
    size_t count = 0, expected = 0, point_count = 0;
    CHECK(occdepth_grid_occupied(grid, voxels, VOXELS, &count) == OCCDEPTH_STATUS_OK);
    CHECK(occdepth_grid_points(grid, points, VOXELS, &point_count) == OCCDEPTH_STATUS_OK && point_count == count);
    float heights[X * Y];
    uint8_t seen[X * Y];
    CHECK(occdepth_grid_height_map(grid, heights, X * Y) == OCCDEPTH_STATUS_OK);
    CHECK(occdepth_grid_birds_eye(grid, seen, X * Y) == OCCDEPTH_STATUS_OK);
    for (uint32_t x = 0; x < X; ++x) {
        for (uint32_t y = 0; y < Y; ++y) {
            float height = NAN;
            int top = -1, free_top = -1;
            for (uint32_t z = 0; z < Z; ++z) {
                const uint8_t label = labels[(x * Y + y) * Z + z];
                uint8_t found;
                OccdepthMeaning meaning;
                CHECK(occdepth_grid_voxel(grid, x, y, z, &found, &meaning) == OCCDEPTH_STATUS_OK && found == label);
                CHECK(meaning == (is_occupied(label) ? OCCDEPTH_MEANING_OCCUPIED
                                  : label == 0       ? OCCDEPTH_MEANING_FREE
                                                     : OCCDEPTH_MEANING_UNKNOWN));
                if (is_occupied(label)) {
                    const OccdepthVoxel *voxel = &voxels[expected];
                    const OccdepthPoint *point = &points[expected];
                    CHECK(voxel->index[0] == x && voxel->index[1] == y && voxel->index[2] == z && voxel->label == label);
                    CHECK(fabs(point->at_m[0] - (0.0 + 0.2 * (x + 0.5))) < 1e-12);
                    CHECK(fabs(point->at_m[1] - (-25.6 + 0.2 * (y + 0.5))) < 1e-12);
                    CHECK(fabs(point->at_m[2] - (-2.0 + 0.2 * (z + 0.5))) < 1e-12 && point->label == label);
                    ++expected;
                    height = (float)(-2.0 + 0.2 * (z + 1));
                    top = label;
                } else if (label == 0) {
                    free_top = 0;
                }
            }
            const size_t column = x * Y + y;
            CHECK(isnan(height) ? isnan(heights[column]) : fabsf(heights[column] - height) < 1e-6f);
            CHECK(seen[column] == (top >= 0 ? top : free_top >= 0 ? free_top : 255));
        }
    }
    CHECK(count == expected);
    // Less room than there is to tell: the first of them, and the count of all.
    if (count > 1) {
        memset(voxels, 0xee, sizeof voxels);
        CHECK(occdepth_grid_occupied(grid, voxels, 1, &expected) == OCCDEPTH_STATUS_OK && expected == count);
        CHECK(voxels[1].label == 0xee);
    }
    CHECK(occdepth_grid_occupied(grid, NULL, 1, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_grid_height_map(grid, heights, X * Y - 1) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(strstr(occdepth_last_error(), "found 14, expected 15") != NULL);
    CHECK(occdepth_grid_birds_eye(grid, NULL, X * Y) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_grid_voxel(grid, X, 0, 0, NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
}

static void free_labels_can_be_chosen(OccdepthGrid *grid) {
    uint8_t all[256];
    for (int i = 0; i < 256; ++i) {
        all[i] = (uint8_t)i;
    }
    size_t count = 1, before = 0, now = 0;
    CHECK(occdepth_grid_occupied(grid, NULL, 0, &before) == OCCDEPTH_STATUS_OK);
    CHECK(occdepth_grid_set_free(grid, all, 256) == OCCDEPTH_STATUS_OK);
    CHECK(occdepth_grid_occupied(grid, NULL, 0, &count) == OCCDEPTH_STATUS_OK && count == 0);
    CHECK(occdepth_grid_set_free(grid, NULL, 0) == OCCDEPTH_STATUS_OK);
    CHECK(occdepth_grid_occupied(grid, NULL, 0, &now) == OCCDEPTH_STATUS_OK && now == before);
}

// Along an axis a ray's voxels can be told without tracing it.
static void rays_end_where_something_is(OccdepthGrid *grid) {
    uint8_t all[256];
    for (int i = 0; i < 256; ++i) {
        all[i] = (uint8_t)i;
    }
    // All labels below 128 are free, of the others only the classes are occupied.
    CHECK(occdepth_grid_set_free(grid, all, 128) == OCCDEPTH_STATUS_OK);
    const uint8_t *labels = occdepth_grid_labels(grid, NULL);
    int seen[4] = {0, 0, 0, 0};
    for (uint32_t x = 0; x < X; ++x) {
        for (uint32_t y = 0; y < Y; ++y) {
            // From a metre below the grid, up.
            const OccdepthRay up = {{0.2 * (x + 0.5), -25.6 + 0.2 * (y + 0.5), -3.0}, {0, 0, 2}, INFINITY};
            OccdepthRayEnd end;
            CHECK(occdepth_grid_cast(grid, &up, &end) == OCCDEPTH_STATUS_OK);
            uint32_t z = 0;
            while (z < Z && labels[(x * Y + y) * Z + z] < 128) {
                ++z;
            }
            CHECK(fabs(end.to_m - (1.0 + 0.2 * z)) < 1e-9);
            ++seen[end.kind];
            if (z == Z) {
                CHECK(end.kind == OCCDEPTH_RAY_END_KIND_FREE && fabs(end.from_m - 1.0) < 1e-9 && end.label == 255);
                continue;
            }
            const uint8_t label = labels[(x * Y + y) * Z + z];
            CHECK(end.kind == (label == 254 ? OCCDEPTH_RAY_END_KIND_OCCUPIED : OCCDEPTH_RAY_END_KIND_UNKNOWN));
            CHECK(end.label == (label == 254 ? 254 : 255));
            CHECK(end.voxel[0] == x && end.voxel[1] == y && end.voxel[2] == z);
        }
    }
    CHECK(seen[OCCDEPTH_RAY_END_KIND_UNKNOWN] > 0);
    const OccdepthRay beside = {{-1, 0, 0}, {-1, 0, 0}, INFINITY}, none = {{0, 0, 0}, {0, 0, 0}, 1};
    OccdepthRayEnd end;
    CHECK(occdepth_grid_cast(grid, &beside, &end) == OCCDEPTH_STATUS_OK && end.kind == OCCDEPTH_RAY_END_KIND_OUTSIDE);
    CHECK(occdepth_grid_cast(grid, &none, &end) == OCCDEPTH_STATUS_OK && end.kind == OCCDEPTH_RAY_END_KIND_OUTSIDE);
    CHECK(occdepth_grid_cast(grid, NULL, &end) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_grid_set_free(grid, NULL, 0) == OCCDEPTH_STATUS_OK);
}

static void the_descriptor_polls_through_restarts(const char *program, const char *socket) {
    OccdepthOptions options = occdepth_options();
    options.notify = 1;
    OccdepthStream *stream = NULL;
    OccdepthGrid *grid = occdepth_grid_new();
    CHECK(occdepth_stream_open(socket, &options, &stream) == OCCDEPTH_STATUS_OK);
    struct pollfd descriptor = {.fd = occdepth_stream_fd(stream), .events = POLLIN};
    uint64_t epochs[3] = {0, 0, 0};
    for (int life = 0; life < 3; ++life) {
        struct publisher publisher = start_publisher(program, socket, "1");
        publish(&publisher, 3);
        for (uint64_t sequence = life == 0 ? 3 : 1; sequence <= 3; ++sequence) {
            OccdepthFollowed followed;
            OccdepthStatus status = OCCDEPTH_STATUS_TIMEOUT;
            // One call for each time that it is readable.
            while (status == OCCDEPTH_STATUS_TIMEOUT) {
                CHECK(poll(&descriptor, 1, (int)PLENTY_MS) == 1);
                status = occdepth_stream_next(stream, grid, 0, &followed);
            }
            CHECK(status == OCCDEPTH_STATUS_OK && followed.sequence == sequence && followed.missed == 0);
            CHECK(followed.restarted == (life > 0 && sequence == 1));
            check_grid(grid, &followed, sequence);
            epochs[life] = followed.epoch;
        }
        CHECK(occdepth_stream_fd(stream) == descriptor.fd);
        kill_publisher(&publisher);
    }
    CHECK(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != 0);
    occdepth_stream_close(stream);
    occdepth_grid_free(grid);
}

static void grids_that_were_passed_over_are_counted(const char *program, const char *socket) {
    struct publisher publisher = start_publisher(program, socket, "1");
    OccdepthStream *stream = NULL;
    OccdepthGrid *grid = occdepth_grid_new();
    OccdepthFollowed followed;
    CHECK(occdepth_stream_open(socket, NULL, &stream) == OCCDEPTH_STATUS_OK);
    publish(&publisher, 1);
    CHECK(occdepth_stream_newest(stream, grid, PLENTY_MS, &followed) == OCCDEPTH_STATUS_OK && followed.missed == 0);
    publish(&publisher, 9);
    CHECK(occdepth_stream_newest(stream, grid, PLENTY_MS, &followed) == OCCDEPTH_STATUS_OK);
    CHECK(followed.sequence == 10 && followed.missed == 8);
    check_grid(grid, &followed, 10);
    CHECK(occdepth_stream_newest(stream, grid, 0, &followed) == OCCDEPTH_STATUS_TIMEOUT);
    publish(&publisher, 10);
    CHECK(occdepth_stream_next(stream, grid, -1, &followed) == OCCDEPTH_STATUS_OK);
    CHECK(followed.sequence == 18 && followed.missed == 7);
    check_grid(grid, &followed, 18);
    occdepth_stream_close(stream);
    occdepth_grid_free(grid);
    kill_publisher(&publisher);
}

struct found {
    const char *socket;
    int streams;
    int others;
};

static void found(const char *socket, const OccdepthDescription *description, const char *error, void *context) {
    struct found *what = context;
    if (strcmp(socket, what->socket) == 0) {
        CHECK(description != NULL && error == NULL);
        check_description(description);
        ++what->streams;
    } else {
        CHECK(description == NULL && error != NULL && error[0] != 0);
        ++what->others;
    }
}

static void streams_are_discovered(const char *program, const char *directory, const char *socket) {
    struct publisher dead;
    char path[300];
    CHECK(snprintf(path, sizeof path, "%s/dead.sock", directory) > 0);
    dead = start_publisher(program, path, "1");
    kill_publisher(&dead);
    struct publisher publisher = start_publisher(program, socket, "1");
    struct found what = {socket, 0, 0};
    CHECK(occdepth_discover(directory, found, &what) == OCCDEPTH_STATUS_OK);
    CHECK(what.streams == 1 && what.others == 1);
    CHECK(occdepth_discover(directory, NULL, NULL) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(occdepth_discover("/nowhere/at/all", found, &what) == OCCDEPTH_STATUS_SYSTEM);
    CHECK(strstr(occdepth_last_error(), "/nowhere/at/all") != NULL);
    kill_publisher(&publisher);
}

static void names_are_known(void) {
    CHECK(strcmp(occdepth_health_name(OCCDEPTH_HEALTH_DEGRADED), "degraded") == 0);
    CHECK(strcmp(occdepth_health_name(77), "unknown") == 0);
    CHECK(strcmp(occdepth_calibration_name(OCCDEPTH_CALIBRATION_LOST), "lost") == 0);
    CHECK(strcmp(occdepth_degradation_name(1), "late") == 0);
    CHECK(strcmp(occdepth_degradation_name(9), "calibration unproven") == 0);
    CHECK(occdepth_degradation_name(10) == NULL && occdepth_degradation_name(64) == NULL);
    CHECK(occdepth_degradation_name(UINT32_MAX) == NULL);
}
