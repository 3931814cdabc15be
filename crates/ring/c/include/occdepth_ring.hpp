// liboccdepth_ring for C++17: the functions of occdepth_ring.h as classes that own what they hold and throw what goes
// wrong. Header only; link with liboccdepth_ring.
//
// Ownership, threads and times are those of occdepth_ring.h. Objects can be moved, and not copied.
#ifndef OCCDEPTH_RING_HPP
#define OCCDEPTH_RING_HPP

#include <occdepth_ring.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace occdepth {

using Axes = OccdepthAxes;
using Calibration = OccdepthCalibration;
using Class = OccdepthClass;
using Description = OccdepthDescription;
using Followed = OccdepthFollowed;
using GridInfo = OccdepthGridInfo;
using Health = OccdepthHealth;
using Meaning = OccdepthMeaning;
using Options = OccdepthOptions;
using Point = OccdepthPoint;
using Ray = OccdepthRay;
using RayEnd = OccdepthRayEnd;
using Status = OccdepthStatus;
using Voxel = OccdepthVoxel;
using WriterStatus = OccdepthWriterStatus;

// What went wrong: a negative status, and its text.
class Error : public std::runtime_error {
public:
    explicit Error(Status status) : std::runtime_error(occdepth_last_error()), status_(status) {}

    Status status() const noexcept { return status_; }

private:
    Status status_;
};

namespace detail {

// True: done; false: nothing in time. Throws everything else.
inline bool done(Status status) {
    if (static_cast<int>(status) < 0) {
        throw Error(status);
    }
    return status == OCCDEPTH_STATUS_OK;
}

struct FreeGrid {
    void operator()(OccdepthGrid *grid) const noexcept { occdepth_grid_free(grid); }
};

struct CloseStream {
    void operator()(OccdepthStream *stream) const noexcept { occdepth_stream_close(stream); }
};

// A list whose length is only known once it was asked for: into what memory there is, and once more if that was not enough.
template <typename T, typename Ask>
void list(std::vector<T> &out, Ask ask) {
    out.resize(out.capacity());
    std::size_t count = 0;
    done(ask(out.data(), out.size(), &count));
    if (count > out.size()) {
        out.resize(count);
        done(ask(out.data(), out.size(), &count));
    }
    out.resize(count);
}

} // namespace detail

// Bytes of a grid: good until the grid is given to a stream again, or ends.
class Bytes {
public:
    Bytes(const std::uint8_t *data, std::size_t size) noexcept : data_(data), size_(size) {}

    const std::uint8_t *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const std::uint8_t *begin() const noexcept { return data_; }
    const std::uint8_t *end() const noexcept { return data_ + size_; }
    std::uint8_t operator[](std::size_t index) const noexcept { return data_[index]; }

private:
    const std::uint8_t *data_;
    std::size_t size_;
};

// A copy of a grid, and what can be made of it. Reuse it: a stream takes memory for the first copy only. Lists and maps go
// into vectors of the caller's, which take memory until they are long enough.
class Grid {
public:
    Grid() : grid_(occdepth_grid_new()) {}

    // u8 [X, Y, Z], z fastest: class ids, 255 unknown. Empty where the grid holds nothing.
    Bytes labels() const noexcept {
        std::size_t count = 0;
        const std::uint8_t *data = occdepth_grid_labels(get(), &count);
        return Bytes(data, count);
    }

    // u8 [X, Y, Z], 255 = probability 1. Empty where the stream has none.
    Bytes confidence() const noexcept {
        std::size_t count = 0;
        const std::uint8_t *data = occdepth_grid_confidence(get(), &count);
        return Bytes(data, count);
    }

    GridInfo info() const {
        GridInfo info;
        detail::done(occdepth_grid_info(get(), &info));
        return info;
    }

    // What the stream is that it was copied from; nullptr where it holds nothing. Good until the next copy.
    const Description *description() const noexcept { return occdepth_grid_describe(get()); }

    // Name of the class of a label; "unknown" for 255 and for labels of no class.
    std::string class_name(std::uint8_t label) const {
        if (const Description *stream = description()) {
            for (std::uint32_t i = 0; i < stream->class_count; ++i) {
                if (stream->classes[i].id == label) {
                    return stream->classes[i].name;
                }
            }
        }
        return "unknown";
    }

    // Age of the images, counted from the earlier of the two captures.
    std::chrono::nanoseconds age() const {
        const std::uint64_t age_ns = occdepth_grid_age_ns(get(), occdepth_monotonic_now_ns());
        return age_ns > static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count())
                   ? std::chrono::nanoseconds::max()
                   : std::chrono::nanoseconds(static_cast<std::int64_t>(age_ns));
    }

    // Which labels mean free space, for all views from now on.
    void set_free(const std::vector<std::uint8_t> &labels) {
        static const std::uint8_t none = 0;
        const std::uint8_t *data = labels.empty() ? &none : labels.data();
        detail::done(occdepth_grid_set_free(get(), data, labels.size()));
    }

    // Label and meaning of a voxel; throws outside the grid.
    std::pair<std::uint8_t, Meaning> voxel(std::uint32_t x, std::uint32_t y, std::uint32_t z) const {
        std::uint8_t label = 0;
        Meaning meaning = OCCDEPTH_MEANING_UNKNOWN;
        detail::done(occdepth_grid_voxel(get(), x, y, z, &label, &meaning));
        return {label, meaning};
    }

    // Every occupied voxel, in the order of the labels.
    void occupied(std::vector<Voxel> &out) const {
        detail::list(out, [this](Voxel *data, std::size_t size, std::size_t *count) {
            return occdepth_grid_occupied(get(), data, size, count);
        });
    }

    // The centre of every occupied voxel, metres in the frame of the grid.
    void points(std::vector<Point> &out) const {
        detail::list(out, [this](Point *data, std::size_t size, std::size_t *count) {
            return occdepth_grid_points(get(), data, size, count);
        });
    }

    // f32 [X, Y]: upper face of the highest occupied voxel of each column, metres; NaN where none is.
    void height_map(std::vector<float> &out) const {
        out.resize(columns());
        detail::done(occdepth_grid_height_map(get(), out.data(), out.size()));
    }

    // u8 [X, Y]: class of the highest occupied voxel of each column, else of the highest free one; 255: unknown.
    void birds_eye(std::vector<std::uint8_t> &out) const {
        out.resize(columns());
        detail::done(occdepth_grid_birds_eye(get(), out.data(), out.size()));
    }

    // What a ray meets.
    RayEnd cast(const Ray &ray) const {
        RayEnd end;
        detail::done(occdepth_grid_cast(get(), &ray, &end));
        return end;
    }

    // For the functions of occdepth_ring.h.
    OccdepthGrid *get() const noexcept { return grid_.get(); }

private:
    std::size_t columns() const noexcept {
        const Description *stream = description();
        return stream ? std::size_t{stream->dims[0]} * stream->dims[1] : 0;
    }

    std::unique_ptr<OccdepthGrid, detail::FreeGrid> grid_;
};

// Options as they are at first.
inline Options options() { return occdepth_options(); }

// The grids of one writer after another at one socket.
class Stream {
public:
    // Does not connect yet, so there need be no writer.
    explicit Stream(const std::string &socket, const Options &options = occdepth::options()) {
        OccdepthStream *stream = nullptr;
        detail::done(occdepth_stream_open(socket.c_str(), &options, &stream));
        stream_.reset(stream);
    }

    // The next grid, in order; nothing when there is none in time. Throws what waiting does not cure.
    std::optional<Followed> next(Grid &grid, std::chrono::milliseconds timeout) {
        Followed followed;
        const auto wait = static_cast<std::int64_t>(timeout.count() < 0 ? 0 : timeout.count());
        const bool done = detail::done(occdepth_stream_next(get(), grid.get(), wait, &followed));
        return done ? std::optional<Followed>(followed) : std::nullopt;
    }

    // The newest grid that was not delivered yet; those passed over count as missed.
    std::optional<Followed> newest(Grid &grid, std::chrono::milliseconds timeout) {
        Followed followed;
        const auto wait = static_cast<std::int64_t>(timeout.count() < 0 ? 0 : timeout.count());
        const bool done = detail::done(occdepth_stream_newest(get(), grid.get(), wait, &followed));
        return done ? std::optional<Followed>(followed) : std::nullopt;
    }

    // To poll for input, with Options::notify: call next or newest with a timeout of 0 each time.
    int fd() const noexcept { return occdepth_stream_fd(get()); }

    // Nothing while there is no writer.
    std::optional<Description> description() const {
        Description description;
        const bool done = detail::done(occdepth_stream_describe(get(), &description));
        return done ? std::optional<Description>(description) : std::nullopt;
    }

    // How the writer says that it is; nothing while there is none, or it has said nothing.
    std::optional<WriterStatus> writer_status() const {
        WriterStatus status;
        const bool done = detail::done(occdepth_stream_writer_status(get(), &status));
        return done ? std::optional<WriterStatus>(status) : std::nullopt;
    }

    // For the functions of occdepth_ring.h.
    OccdepthStream *get() const noexcept { return stream_.get(); }

private:
    std::unique_ptr<OccdepthStream, detail::CloseStream> stream_;
};

// A socket that was found: what is published there, or why it cannot be read.
struct Found {
    std::string socket;
    std::optional<Description> description;
    std::string error;
};

// Every socket of a directory, by name.
inline std::vector<Found> discover(const std::string &directory) {
    std::vector<Found> streams;
    const auto found = [](const char *socket, const Description *description, const char *error,
                          void *context) noexcept {
        Found one;
        one.socket = socket;
        if (description != nullptr) {
            one.description = *description;
        }
        one.error = error != nullptr ? error : "";
        static_cast<std::vector<Found> *>(context)->push_back(std::move(one));
    };
    detail::done(occdepth_discover(directory.c_str(), found, &streams));
    return streams;
}

// A time of a grid in wall time.
inline std::chrono::system_clock::time_point wall_time(const GridInfo &info, std::uint64_t time_ns) {
    const auto since = std::chrono::nanoseconds(static_cast<std::int64_t>(time_ns) + info.wall_offset_ns);
    return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(since));
}

// Names of the degradations that are set, for people.
inline std::vector<std::string> degradation_names(std::uint64_t degradation) {
    std::vector<std::string> names;
    for (std::uint32_t bit = 0; bit < 64; ++bit) {
        const char *name = (degradation >> bit & 1) != 0 ? occdepth_degradation_name(bit) : nullptr;
        if (name != nullptr) {
            names.emplace_back(name);
        }
    }
    return names;
}

} // namespace occdepth

#endif // OCCDEPTH_RING_HPP
