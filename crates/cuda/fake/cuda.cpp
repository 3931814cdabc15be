// A CUDA driver on memory of the host: what the frame path calls, done asynchronously by one thread per stream, with the
// errors that it is told to make. It is stricter than a driver: what it does not know (a freed address, a copy beyond a
// buffer, a stream that is being captured and waited for) ends the process with a message.
//
// Environment:
//   FAKE_CUDA_VERSION      12060 by default
//   FAKE_CUDA_DEVICES      1
//   FAKE_CUDA_INTEGRATED   0
//   FAKE_CUDA_COMPUTE      87
//   FAKE_CUDA_MEMORY       bytes; more is out of memory
//   FAKE_CUDA_DELAY_US     before each piece of work, so that nobody gets away without waiting
//   FAKE_CUDA_FAULTS       "cuMemAlloc_v2:2@3 kernel:700@2+": the third call returns 2; the second kernel and all after
//                          it make 700. Counted over the whole process. `kernel` fails while it runs, calls at once.
//   FAKE_CUDA_LOG          a file that gets a line per call
//
// Codes that make a context useless in CUDA do so here, until the context is reset.
#include <algorithm>
#include <condition_variable>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <elf.h>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {
using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& message) {
    fprintf(stderr, "fake driver: %s\n", message.c_str());
    _exit(70);
}
long number(const char* name, long otherwise) {
    const char* value = getenv(name);
    return value ? atol(value) : otherwise;
}

std::recursive_mutex lock;
std::atomic<int> sticky{0};
bool initialised = false;
int retained = 0;
thread_local void* current = nullptr;
char the_context;

bool is_sticky(int code) {
    for (int c : {214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999})
        if (c == code) return true;
    return false;
}

// The code that call number n of `what` is to return.
int fault(const std::string& what) {
    std::lock_guard<std::recursive_mutex> hold(lock);
    static std::map<std::string, int> calls;
    int nth = ++calls[what];
    const char* faults = getenv("FAKE_CUDA_FAULTS");
    // No C++ streams: where the compiler links its library statically, those of two libraries in a process get mixed up.
    std::string list = faults ? faults : "";
    for (size_t start = 0, end; start < list.size(); start = end + 1) {
        end = std::min(list.find(' ', start), list.size());
        if (end == start) continue;
        std::string entry = list.substr(start, end - start);
        size_t colon = entry.find(':'), at = entry.find('@');
        if (entry.substr(0, colon) != what) continue;
        int code = atoi(entry.c_str() + colon + 1), first = atoi(entry.c_str() + at + 1);
        bool onwards = entry.back() == '+';
        if (nth == first || (onwards && nth > first)) return code;
    }
    return 0;
}
void note(const char* call) {
    static const char* path = getenv("FAKE_CUDA_LOG");
    if (!path) return;
    std::lock_guard<std::recursive_mutex> hold(lock);
    static FILE* file = fopen(path, "a");
    fprintf(file, "%s\n", call);
    fflush(file);
}
// What every call begins with; 0: go on.
int enter(const char* call, bool needs_context = true) {
    note(call);
    if (!initialised) return 3;  // NOT_INITIALIZED
    int code = fault(call);
    if (code) {
        if (is_sticky(code)) sticky = code;
        return code;
    }
    if (needs_context) {
        if (sticky) return sticky;
        if (!current) return 201;  // INVALID_CONTEXT
    }
    return 0;
}
#define ENTER(call) if (int code = enter(call)) return code

// Memory, each piece followed by bytes that nobody may write to.
struct Piece {
    size_t bytes, mapped;
    bool host;
};
std::map<uintptr_t, Piece> pieces;
size_t used = 0;
const size_t GUARD = 4096;

int allocate(uintptr_t* out, size_t bytes, bool host) {
    std::lock_guard<std::recursive_mutex> hold(lock);
    if (!bytes) return 1;
    if (used + bytes > size_t(number("FAKE_CUDA_MEMORY", 1L << 34))) return 2;
    size_t mapped = (bytes + GUARD + 4095) / 4096 * 4096;
    void* at = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return 2;
    // Poison: as floats, NaN.
    memset(at, 0xff, mapped);
    *out = uintptr_t(at);
    pieces[*out] = {bytes, mapped, host};
    used += bytes;
    return 0;
}
int release(uintptr_t at, bool host) {
    std::lock_guard<std::recursive_mutex> hold(lock);
    auto found = pieces.find(at);
    if (found == pieces.end() || found->second.host != host) fail("free of an address that is not allocated");
    const Piece& piece = found->second;
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(at);
    for (size_t i = piece.bytes; i < piece.mapped; ++i)
        if (bytes[i] != 0xff) fail("somebody wrote beyond a buffer of " + std::to_string(piece.bytes) + " bytes");
    used -= piece.bytes;
    munmap(reinterpret_cast<void*>(at), piece.mapped);
    pieces.erase(found);
    return 0;
}
void within(uintptr_t at, size_t bytes, const char* what) {
    std::lock_guard<std::recursive_mutex> hold(lock);
    auto found = pieces.upper_bound(at);
    if (found == pieces.begin()) fail(std::string(what) + ": an address of nothing");
    --found;
    if (at + bytes > found->first + found->second.bytes) fail(std::string(what) + ": beyond a buffer");
}

struct Graph {
    std::vector<Work> work;
};
struct Stream {
    std::deque<Work> queue;
    std::mutex mutex;
    std::condition_variable changed;
    bool busy = false, ending = false;
    Graph* captured = nullptr;
    bool invalid = false;
    std::thread thread;
    Stream() : thread([this] { run(); }) {}
    void run() {
        std::unique_lock<std::mutex> hold(mutex);
        for (;;) {
            changed.wait(hold, [this] { return ending || !queue.empty(); });
            if (queue.empty()) return;
            Work work = std::move(queue.front());
            queue.pop_front();
            busy = true;
            hold.unlock();
            if (long delay = number("FAKE_CUDA_DELAY_US", 0)) usleep(delay);
            if (!sticky) work();
            hold.lock();
            busy = false;
            changed.notify_all();
        }
    }
    void put(Work work) {
        if (captured) {
            captured->work.push_back(std::move(work));
            return;
        }
        std::lock_guard<std::mutex> hold(mutex);
        queue.push_back(std::move(work));
        changed.notify_all();
    }
    void drain() {
        std::unique_lock<std::mutex> hold(mutex);
        changed.wait(hold, [this] { return queue.empty() && !busy; });
    }
};
struct Event {
    std::mutex mutex;
    std::condition_variable changed;
    long recorded = 0, done = 0;
    Clock::time_point at;
    bool ever = false;
};
struct Module {
    void* library;
    void (*run)(const void*, const unsigned*, const unsigned*);
    unsigned bytes;
};
// A kernel made sticky while it ran: everything that waits must wake up.
std::set<Event*> events;
}  // namespace

extern "C" {
int cuInit(unsigned flags) {
    note("cuInit");
    if (flags) return 1;
    if (int code = fault("cuInit")) return code;
    if (!number("FAKE_CUDA_DEVICES", 1)) return 100;  // NO_DEVICE
    initialised = true;
    return 0;
}
int cuDriverGetVersion(int* version) {
    *version = int(number("FAKE_CUDA_VERSION", 12060));
    return 0;
}
int cuGetErrorName(int code, const char** name) {
    static const std::map<int, const char*> names = {
        {1, "CUDA_ERROR_INVALID_VALUE"},   {2, "CUDA_ERROR_OUT_OF_MEMORY"},   {3, "CUDA_ERROR_NOT_INITIALIZED"},
        {100, "CUDA_ERROR_NO_DEVICE"},     {201, "CUDA_ERROR_INVALID_CONTEXT"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {719, "CUDA_ERROR_LAUNCH_FAILED"}, {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
        {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}, {200, "CUDA_ERROR_INVALID_IMAGE"}, {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}};
    auto found = names.find(code);
    if (found == names.end()) {
        *name = nullptr;
        return 1;
    }
    *name = found->second;
    return 0;
}
int cuDeviceGetCount(int* count) {
    if (int code = enter("cuDeviceGetCount", false)) return code;
    *count = int(number("FAKE_CUDA_DEVICES", 1));
    return 0;
}
int cuDeviceGet(int* device, int ordinal) {
    if (int code = enter("cuDeviceGet", false)) return code;
    *device = ordinal;
    return 0;
}
int cuDeviceGetName(char* name, int length, int) {
    snprintf(name, length, "Fake GPU");
    return 0;
}
int cuDeviceGetUuid(unsigned char* uuid, int) {
    memset(uuid, 7, 16);
    return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = size_t(number("FAKE_CUDA_MEMORY", 1L << 34));
    return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
    if (int code = enter("cuDeviceGetAttribute", false)) return code;
    int compute = int(number("FAKE_CUDA_COMPUTE", 87));
    switch (attribute) {
        case 16: *value = 8; return 0;                                      // MULTIPROCESSOR_COUNT
        case 18: *value = int(number("FAKE_CUDA_INTEGRATED", 0)); return 0;  // INTEGRATED
        case 19: *value = 1; return 0;                                      // CAN_MAP_HOST_MEMORY
        case 75: *value = compute / 10; return 0;                           // COMPUTE_CAPABILITY_MAJOR
        case 76: *value = compute % 10; return 0;                           // COMPUTE_CAPABILITY_MINOR
        default: fail("attribute " + std::to_string(attribute));
    }
}
int cuDevicePrimaryCtxRetain(void** context, int) {
    if (int code = enter("cuDevicePrimaryCtxRetain", false)) return code;
    ++retained;
    *context = &the_context;
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) {
    enter("cuDevicePrimaryCtxRelease_v2", false);
    if (--retained < 0) fail("a context released more often than retained");
    return 0;
}
int cuDevicePrimaryCtxReset_v2(int) {
    if (int code = enter("cuDevicePrimaryCtxReset_v2", false)) return code;
    std::lock_guard<std::recursive_mutex> hold(lock);
    // Everything must be gone already: the frame path promises that.
    if (!pieces.empty()) fail(std::to_string(pieces.size()) + " buffers outlive their context");
    sticky = 0;
    return 0;
}
int cuCtxSetCurrent(void* context) {
    if (int code = enter("cuCtxSetCurrent", false)) return code;
    current = context;
    return 0;
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    ENTER("cuMemGetInfo_v2");
    *total = size_t(number("FAKE_CUDA_MEMORY", 1L << 34));
    *free = *total - used;
    return 0;
}
int cuMemAlloc_v2(uintptr_t* out, size_t bytes) {
    ENTER("cuMemAlloc_v2");
    return allocate(out, bytes, false);
}
int cuMemFree_v2(uintptr_t at) {
    // Also in a context that is useless: the memory goes with it.
    enter("cuMemFree_v2", false);
    release(at, false);
    return sticky;
}
int cuMemHostAlloc(void** out, size_t bytes, unsigned) {
    ENTER("cuMemHostAlloc");
    return allocate(reinterpret_cast<uintptr_t*>(out), bytes, true);
}
int cuMemFreeHost(void* at) {
    enter("cuMemFreeHost", false);
    release(uintptr_t(at), true);
    return sticky;
}
int cuMemHostGetDevicePointer_v2(uintptr_t* out, void* at, unsigned) {
    ENTER("cuMemHostGetDevicePointer_v2");
    *out = uintptr_t(at);
    return 0;
}
static int copy(const char* call, void* to, const void* from, size_t bytes, Stream* stream) {
    ENTER(call);
    stream->put([=] { memcpy(to, from, bytes); });
    return 0;
}
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, Stream* stream) {
    within(to, bytes, "upload");
    return copy("cuMemcpyHtoDAsync_v2", reinterpret_cast<void*>(to), from, bytes, stream);
}
int cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, Stream* stream) {
    within(from, bytes, "download");
    return copy("cuMemcpyDtoHAsync_v2", to, reinterpret_cast<void*>(from), bytes, stream);
}
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, Stream* stream) {
    within(to, bytes, "copy");
    within(from, bytes, "copy");
    return copy("cuMemcpyDtoDAsync_v2", reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes, stream);
}
int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, Stream* stream) {
    ENTER("cuMemsetD8Async");
    within(to, bytes, "fill");
    stream->put([=] { memset(reinterpret_cast<void*>(to), value, bytes); });
    return 0;
}
int cuStreamCreate(Stream** out, unsigned) {
    ENTER("cuStreamCreate");
    *out = new Stream;
    return 0;
}
int cuStreamDestroy_v2(Stream* stream) {
    enter("cuStreamDestroy_v2", false);
    stream->drain();
    {
        std::lock_guard<std::mutex> hold(stream->mutex);
        stream->ending = true;
        stream->changed.notify_all();
    }
    stream->thread.join();
    delete stream;
    return 0;
}
int cuStreamSynchronize(Stream* stream) {
    note("cuStreamSynchronize");
    if (stream->captured) {
        stream->invalid = true;
        return 900;  // STREAM_CAPTURE_UNSUPPORTED
    }
    // Work that was queued is not done in a useless context, but is no longer there either.
    stream->drain();
    int code = fault("cuStreamSynchronize");
    if (is_sticky(code)) sticky = code;
    return code ? code : int(sticky);
}
int cuStreamBeginCapture_v2(Stream* stream, int) {
    ENTER("cuStreamBeginCapture_v2");
    if (stream->captured) fail("a capture within a capture");
    stream->captured = new Graph;
    stream->invalid = false;
    return 0;
}
int cuStreamEndCapture(Stream* stream, Graph** out) {
    note("cuStreamEndCapture");
    if (!stream->captured) fail("the end of no capture");
    *out = stream->captured;
    stream->captured = nullptr;
    int code = fault("cuStreamEndCapture");
    if (stream->invalid || code) {
        delete *out;
        *out = nullptr;
        return code ? code : 901;  // STREAM_CAPTURE_INVALIDATED
    }
    return 0;
}
int cuGraphInstantiateWithFlags(Graph** out, Graph* graph, unsigned long long) {
    ENTER("cuGraphInstantiateWithFlags");
    *out = new Graph(*graph);
    return 0;
}
int cuGraphLaunch(Graph* graph, Stream* stream) {
    ENTER("cuGraphLaunch");
    for (const Work& work : graph->work) stream->put(work);
    return 0;
}
int cuGraphExecDestroy(Graph* graph) {
    delete graph;
    return 0;
}
int cuGraphDestroy(Graph* graph) {
    delete graph;
    return 0;
}
int cuEventCreate(Event** out, unsigned) {
    ENTER("cuEventCreate");
    *out = new Event;
    std::lock_guard<std::recursive_mutex> hold(lock);
    events.insert(*out);
    return 0;
}
int cuEventDestroy_v2(Event* event) {
    std::lock_guard<std::recursive_mutex> hold(lock);
    events.erase(event);
    delete event;
    return 0;
}
int cuEventRecordWithFlags(Event* event, Stream* stream, unsigned flags) {
    ENTER("cuEventRecordWithFlags");
    if (bool(stream->captured) != bool(flags & 1)) {
        // Captured without the flag: a dependency that nobody can wait for. With the flag, outside: invalid.
        if (stream->captured) stream->invalid = true;
        return 1;
    }
    if (!stream->captured) {
        std::lock_guard<std::mutex> hold(event->mutex);
        ++event->recorded;
    }
    bool counted = !stream->captured;
    stream->put([=] {
        std::lock_guard<std::mutex> hold(event->mutex);
        if (counted) ++event->done;
        event->ever = true;
        event->at = Clock::now();
        event->changed.notify_all();
    });
    return 0;
}
int cuEventQuery(Event* event) {
    ENTER("cuEventQuery");
    std::lock_guard<std::mutex> hold(event->mutex);
    return event->done < event->recorded ? 600 : 0;  // NOT_READY
}
int cuEventSynchronize(Event* event) {
    ENTER("cuEventSynchronize");
    std::unique_lock<std::mutex> hold(event->mutex);
    long until = event->recorded;
    while (event->done < until && !sticky) event->changed.wait_for(hold, std::chrono::milliseconds(1));
    return sticky;
}
int cuEventElapsedTime(float* milliseconds, Event* from, Event* to) {
    ENTER("cuEventElapsedTime");
    std::scoped_lock hold(from->mutex, to->mutex);
    if (!from->ever || !to->ever) return 400;  // INVALID_HANDLE
    *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return 0;
}
int cuModuleLoadDataEx(Module** out, const void* image, unsigned, int*, void**) {
    ENTER("cuModuleLoadDataEx");
    const Elf64_Ehdr* header = static_cast<const Elf64_Ehdr*>(image);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG)) return 200;  // INVALID_IMAGE
    size_t bytes = header->e_shoff + size_t(header->e_shnum) * header->e_shentsize;
    // A name of its own: the loader takes one that it knows for the same library.
    const char* directory = getenv("TMPDIR");
    std::string path = std::string(directory ? directory : "/tmp") + "/occdepth-kernel-XXXXXX";
    int file = mkstemp(path.data());
    if (write(file, image, bytes) != ssize_t(bytes)) fail("a kernel that cannot be written");
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    close(file);
    unlink(path.c_str());
    if (!library) return 200;
    Module* module = new Module{library, nullptr, 0};
    module->run = reinterpret_cast<decltype(module->run)>(dlsym(library, "occdepth_run"));
    unsigned* size = static_cast<unsigned*>(dlsym(library, "occdepth_bytes"));
    if (!module->run || !size) return 200;
    module->bytes = *size;
    *out = module;
    return 0;
}
int cuModuleUnload(Module* module) {
    // The library stays: work may still be queued in a real driver, too, and it is small.
    delete module;
    return 0;
}
int cuModuleGetFunction(Module** out, Module* module, const char* name) {
    ENTER("cuModuleGetFunction");
    if (!dlsym(module->library, name)) return 500;  // NOT_FOUND
    *out = module;
    return 0;
}
int cuFuncGetAttribute(int* value, int attribute, Module*) {
    *value = attribute == 4 ? 32 : 0;  // NUM_REGS; LOCAL_SIZE_BYTES
    return 0;
}
int cuLaunchKernel(Module* module, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned, Stream* stream, void** arguments, void**) {
    ENTER("cuLaunchKernel");
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024) return 1;
    std::vector<char> parameters(static_cast<char*>(arguments[0]), static_cast<char*>(arguments[0]) + module->bytes);
    auto run = module->run;
    stream->put([=] {
        if (int code = fault("kernel")) {
            sticky = code;
            return;
        }
        unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
        run(parameters.data(), grid, block);
    });
    return 0;
}
int cuLaunchHostFunc(Stream* stream, void (*function)(void*), void* data) {
    ENTER("cuLaunchHostFunc");
    stream->put([=] { function(data); });
    return 0;
}
}
