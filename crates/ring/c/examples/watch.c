// Prints what a stream says, from an event loop: one poll for the stream and whatever else a program waits for.
//
//     cc -o watch watch.c $(pkg-config --cflags --libs occdepth-ring)
//     ./watch /run/occdepth/front.sock [GRIDS]
#include <math.h>
#include <occdepth_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static int print(const OccdepthGrid *grid, const OccdepthFollowed *followed);

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s SOCKET [GRIDS]\n", argv[0]);
        return 2;
    }
    const long wanted = argc == 3 ? strtol(argv[2], NULL, 10) : -1;

    OccdepthOptions options = occdepth_options();
    options.notify = 1; // the descriptor becomes readable with every grid
    OccdepthStream *stream = NULL;
    if (occdepth_stream_open(argv[1], &options, &stream) != OCCDEPTH_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], occdepth_last_error());
        return 1;
    }
    OccdepthGrid *grid = occdepth_grid_new(); // reused: only the first copy takes memory

    int failed = 0;
    for (long received = 0; !failed && received != wanted;) {
        // Put your own descriptors beside it. It stays the same when the writer is restarted.
        struct pollfd descriptors[] = {{.fd = occdepth_stream_fd(stream), .events = POLLIN}};
        if (poll(descriptors, 1, 1000) <= 0) {
            OccdepthWriterStatus status;
            if (occdepth_stream_writer_status(stream, &status) == OCCDEPTH_STATUS_OK) {
                printf("no grid for a second; the writer is %s\n", occdepth_health_name(status.health));
            } else {
                printf("no writer\n");
            }
            continue;
        }
        OccdepthFollowed followed;
        const OccdepthStatus status = occdepth_stream_next(stream, grid, 0, &followed);
        if (status == OCCDEPTH_STATUS_OK) {
            failed = print(grid, &followed);
            ++received;
        } else if (status == OCCDEPTH_STATUS_CORRUPT) {
            fprintf(stderr, "%s\n", occdepth_last_error());
        } else if (status != OCCDEPTH_STATUS_TIMEOUT) {
            fprintf(stderr, "%s: %s\n", argv[1], occdepth_last_error());
            failed = 1;
        }
    }
    occdepth_grid_free(grid);
    occdepth_stream_close(stream);
    return failed;
}

static int print(const OccdepthGrid *grid, const OccdepthFollowed *followed) {
    OccdepthGridInfo info;
    size_t occupied = 0;
    OccdepthRayEnd end;
    // Straight ahead, half a metre above the ground.
    const OccdepthRay ahead = {{0.1, 0.0, 0.5}, {1.0, 0.0, 0.0}, INFINITY};
    if (occdepth_grid_info(grid, &info) != OCCDEPTH_STATUS_OK ||
        occdepth_grid_occupied(grid, NULL, 0, &occupied) != OCCDEPTH_STATUS_OK ||
        occdepth_grid_cast(grid, &ahead, &end) != OCCDEPTH_STATUS_OK) {
        fprintf(stderr, "%s\n", occdepth_last_error());
        return 1;
    }
    const OccdepthDescription *description = occdepth_grid_describe(grid);
    if (followed->restarted) {
        printf("the writer was restarted: %s\n", description->producer);
    }
    printf("%s grid %llu, %.0f ms old, %s: %zu voxels occupied", description->stream,
           (unsigned long long)info.sequence,
           (double)occdepth_grid_age_ns(grid, occdepth_monotonic_now_ns()) / 1e6, occdepth_health_name(info.health),
           occupied);
    if (end.kind == OCCDEPTH_RAY_END_KIND_OCCUPIED) {
        printf(", the next %.1f m ahead", end.to_m);
    }
    if (followed->missed > 0) {
        printf(", %llu missed", (unsigned long long)followed->missed);
    }
    printf("\n");
    return 0;
}
