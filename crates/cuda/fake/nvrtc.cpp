// A run-time compiler that compiles for the host: a library whose `occdepth_run` is the kernel with its blocks and threads
// as loops. What NVRTC would put out as machine code is that library's bytes.
//
// Environment: FAKE_NVRTC_HEADER (the path of host.h), CXX, FAKE_NVRTC_ARCHITECTURES ("72 87"), FAKE_NVRTC_FAIL (a kernel
// that does not compile), FAKE_NVRTC_LOG (a file that gets a line per compilation).
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

namespace {
struct Program {
    std::string text, name, log, image;
};
std::string env(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
}
std::vector<int> architectures() {
    std::string list = env("FAKE_NVRTC_ARCHITECTURES", "72 87 90");
    std::vector<int> found;
    char* rest = list.data();
    for (char* end; long number = strtol(rest, &end, 10); rest = end) found.push_back(int(number));
    return found;
}
// No C++ streams: where the compiler links its library statically, those of two libraries in a process get mixed up.
std::string contents(const std::string& path) {
    std::string all;
    FILE* file = fopen(path.c_str(), "rb");
    if (!file) return all;
    char part[65536];
    while (size_t count = fread(part, 1, sizeof part, file)) all.append(part, count);
    fclose(file);
    return all;
}
void write(const std::string& path, const char* mode, const std::string& text) {
    FILE* file = fopen(path.c_str(), mode);
    if (!file) return;
    fwrite(text.data(), 1, text.size(), file);
    fclose(file);
}
int get(const std::string& from, char* to) {
    memcpy(to, from.data(), from.size());
    return 0;
}
}  // namespace

extern "C" {
int nvrtcVersion(int* major, int* minor) {
    *major = 12;
    *minor = 0;
    return 0;
}
int nvrtcGetNumSupportedArchs(int* count) {
    *count = int(architectures().size());
    return 0;
}
int nvrtcGetSupportedArchs(int* out) {
    for (int architecture : architectures()) *out++ = architecture;
    return 0;
}
int nvrtcCreateProgram(void** out, const char* text, const char* name, int, const char* const*, const char* const*) {
    *out = new Program{text, name, "", ""};
    return 0;
}
int nvrtcDestroyProgram(void** program) {
    delete static_cast<Program*>(*program);
    *program = nullptr;
    return 0;
}
int nvrtcCompileProgram(void* handle, int count, const char* const* options) {
    Program& program = *static_cast<Program*>(handle);
    write(env("FAKE_NVRTC_LOG", "/dev/null"), "a", program.name + "\n");
    if (env("FAKE_NVRTC_FAIL", "") == program.name) {
        program.log = program.name + ".cu(1): error: told to fail";
        return 6;  // NVRTC_ERROR_COMPILATION
    }
    std::string directory = env("TMPDIR", "/tmp") + "/occdepth-nvrtc-XXXXXX";
    if (!mkdtemp(directory.data())) return 1;
    std::string type = program.name;
    type[0] = char(toupper(type[0]));
    write(directory + "/k.cpp", "w",
          program.text + "\nextern \"C\" unsigned occdepth_bytes = sizeof(" + type + ");\n"
          + "extern \"C\" void occdepth_run(const void* p, const unsigned* grid, const unsigned* block) {\n"
          + "  const " + type + "& r = *static_cast<const " + type + "*>(p);\n"
          + "  blockDim = Dim3{block[0], block[1], block[2]};\n"
          + "  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)\n"
          + "    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)\n"
          + "      for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)\n"
          + "        for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)\n"
          + "          for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x) " + program.name + "(r);\n"
          + "}\n");
    std::string command = env("CXX", "c++") + " -std=c++14 -O1 -ffp-contract=off -fno-strict-aliasing -shared -fPIC -w "
                          "-DOCCDEPTH_HOST -include " + env("FAKE_NVRTC_HEADER", "host.h");
    for (int i = 0; i < count; ++i)
        if (!strncmp(options[i], "-D", 2)) command += std::string(" ") + options[i];
    command += " -o " + directory + "/k.so " + directory + "/k.cpp > " + directory + "/log 2>&1";
    int code = system(command.c_str());
    program.log = contents(directory + "/log");
    program.image = contents(directory + "/k.so");
    for (const char* file : {"/k.cpp", "/k.so", "/log"}) unlink((directory + file).c_str());
    rmdir(directory.c_str());
    return code == 0 ? 0 : 6;
}
int nvrtcGetProgramLogSize(void* program, size_t* size) {
    *size = static_cast<Program*>(program)->log.size() + 1;
    return 0;
}
int nvrtcGetProgramLog(void* program, char* out) {
    strcpy(out, static_cast<Program*>(program)->log.c_str());
    return 0;
}
int nvrtcGetCUBINSize(void* program, size_t* size) {
    *size = static_cast<Program*>(program)->image.size();
    return 0;
}
int nvrtcGetCUBIN(void* program, char* out) { return get(static_cast<Program*>(program)->image, out); }
int nvrtcGetPTXSize(void* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
int nvrtcGetPTX(void* program, char* out) { return get(static_cast<Program*>(program)->image, out); }
}
