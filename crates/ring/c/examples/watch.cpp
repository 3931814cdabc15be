// Prints what a stream says, waiting for its newest grid.
//
//     c++ -std=c++17 -o watch watch.cpp $(pkg-config --cflags --libs occdepth-ring)
//     ./watch /run/occdepth/front.sock [GRIDS]
#include <cstdlib>
#include <iostream>
#include <limits>
#include <occdepth_ring.hpp>

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        std::cerr << "usage: " << argv[0] << " SOCKET [GRIDS]\n";
        return 2;
    }
    const long wanted = argc == 3 ? std::strtol(argv[2], nullptr, 10) : -1;
    try {
        occdepth::Stream stream(argv[1]);
        occdepth::Grid grid; // these three are reused: only the first grid takes memory
        std::vector<occdepth::Voxel> occupied;
        std::vector<float> heights;
        for (long received = 0; received != wanted;) {
            const auto followed = stream.newest(grid, std::chrono::seconds(1));
            if (!followed) {
                const auto status = stream.writer_status();
                std::cout << "no grid for a second; "
                          << (status ? occdepth_health_name(status->health) : "no writer") << "\n";
                continue;
            }
            ++received;
            grid.occupied(occupied);
            grid.height_map(heights);
            const auto info = grid.info();
            std::cout << grid.description()->stream << " grid " << info.sequence << ", "
                      << std::chrono::duration_cast<std::chrono::milliseconds>(grid.age()).count()
                      << " ms old, " << occdepth_health_name(info.health) << ": " << occupied.size()
                      << " voxels occupied";
            // Straight ahead, half a metre above the ground.
            const auto end = grid.cast({{0.1, 0.0, 0.5}, {1.0, 0.0, 0.0}, std::numeric_limits<double>::infinity()});
            if (end.kind == OCCDEPTH_RAY_END_KIND_OCCUPIED) {
                std::cout << ", " << grid.class_name(end.label) << " " << end.to_m << " m ahead";
            }
            for (const auto &name : occdepth::degradation_names(info.degradation)) {
                std::cout << ", " << name;
            }
            if (followed->missed > 0) {
                std::cout << ", " << followed->missed << " missed";
            }
            std::cout << "\n";
        }
    } catch (const std::exception &error) {
        std::cerr << argv[1] << ": " << error.what() << "\n";
        return 1;
    }
    return 0;
}
