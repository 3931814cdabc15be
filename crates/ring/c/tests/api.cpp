// The classes of occdepth_ring.hpp: what they hold they give back, and what goes wrong is thrown.
#include "publisher.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <occdepth_ring.hpp>
#include <type_traits>

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<occdepth::Stream> && !std::is_copy_assignable_v<occdepth::Grid>);
static_assert(std::is_nothrow_move_constructible_v<occdepth::Stream>);
static_assert(std::is_nothrow_move_constructible_v<occdepth::Grid>);

template <typename Call>
static occdepth::Status thrown(Call call) {
    try {
        call();
    } catch (const occdepth::Error &error) {
        CHECK(error.what()[0] != 0);
        return error.status();
    }
    return OCCDEPTH_STATUS_OK;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const std::string directory = argv[2], socket = directory + "/front.sock";

    occdepth::Grid empty;
    CHECK(empty.labels().empty() && empty.description() == nullptr && empty.class_name(1) == "unknown");
    CHECK(empty.age() == std::chrono::nanoseconds::max());
    CHECK(thrown([&] { empty.info(); }) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    auto wrong = occdepth::options();
    wrong.reserved[0] = 1;
    CHECK(thrown([&] { occdepth::Stream stream("x", wrong); }) == OCCDEPTH_STATUS_BAD_ARGUMENT);

    auto first = occdepth::Stream(socket);
    CHECK(!first.next(empty, 1ms) && !first.description() && !first.writer_status());
    occdepth::Stream stream = std::move(first);

    publisher writer = start_publisher(argv[1], socket.c_str(), "5");
    publish(&writer, 1);
    occdepth::Grid grid;
    auto followed = stream.next(grid, 30s);
    CHECK(followed && followed->sequence == 1);
    CHECK(stream.description()->dims[2] == 7 && stream.writer_status()->health == OCCDEPTH_HEALTH_DEGRADED);
    const auto labels = grid.labels();
    CHECK(labels.size() == 105 && grid.confidence().size() == 105);
    for (std::size_t i = 0; i < labels.size(); ++i) {
        CHECK(labels[i] == published_label(5, i) && grid.confidence()[i] == published_confidence(5, i));
    }
    CHECK(grid.class_name(1) == "car" && grid.class_name(2) == "unknown" && grid.class_name(255) == "unknown");
    const auto info = grid.info();
    CHECK(std::abs((occdepth::wall_time(info, info.publish_time_ns) - std::chrono::system_clock::now()) / 1s) < 60);
    CHECK(occdepth::degradation_names(info.degradation) == std::vector<std::string>{"late"});

    std::vector<occdepth::Voxel> occupied;
    std::vector<occdepth::Point> points;
    std::vector<float> heights;
    std::vector<std::uint8_t> seen;
    const std::vector<std::uint8_t> no_labels;
    grid.set_free(no_labels); // then all three classes are occupied
    grid.occupied(occupied);
    grid.points(points);
    grid.height_map(heights);
    grid.birds_eye(seen);
    const auto is_class = [](std::uint8_t label) { return label == 0 || label == 1 || label == 254; };
    const auto expected = static_cast<std::size_t>(std::count_if(labels.begin(), labels.end(), is_class));
    CHECK(occupied.size() == expected && points.size() == expected && heights.size() == 15 && seen.size() == 15);
    for (const auto &voxel : occupied) {
        const auto &at = voxel.index;
        CHECK(labels[(at[0] * 3 + at[1]) * 7 + at[2]] == voxel.label);
        CHECK(grid.voxel(at[0], at[1], at[2]).second == OCCDEPTH_MEANING_OCCUPIED);
    }
    CHECK(thrown([&] { grid.voxel(5, 0, 0); }) == OCCDEPTH_STATUS_BAD_ARGUMENT);
    CHECK(grid.cast({{9, 9, 9}, {1, 0, 0}, std::numeric_limits<double>::infinity()}).kind ==
          OCCDEPTH_RAY_END_KIND_OUTSIDE);

    publish(&writer, 3);
    followed = stream.newest(grid, 30s);
    CHECK(followed && followed->sequence == 4 && followed->missed == 2 && grid.info().frame_id == 8);
    const auto streams = occdepth::discover(directory);
    CHECK(std::count_if(streams.begin(), streams.end(), [&](const occdepth::Found &one) {
              return one.socket == socket && one.description && one.error.empty();
          }) == 1);
    CHECK(thrown([] { occdepth::discover("/nowhere/at/all"); }) == OCCDEPTH_STATUS_SYSTEM);

    kill_publisher(&writer);
    CHECK(!stream.next(grid, 1ms));
    CHECK(grid.info().frame_id == 8 && stream.fd() >= 0);
    std::puts("c++ api: ok");
    return 0;
}
