/* A libcuda.so.1 that has a device, or says that it has none: FAKE_CUDA_INIT is what cuInit returns. */

#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

static int setting(char const* name, int otherwise)
{
    char const* const text = getenv(name);
    return text ? atoi(text) : otherwise;
}

EXPORTED int cuInit(unsigned flags)
{
    (void) flags;
    return setting("FAKE_CUDA_INIT", 0);
}

EXPORTED int cuDriverGetVersion(int* version)
{
    *version = setting("FAKE_CUDA_VERSION", 12060);
    return 0;
}

EXPORTED int cuGetErrorName(int code, char const** name)
{
    switch (code)
    {
    case 100: *name = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 803: *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return 0;
    case 999: *name = "CUDA_ERROR_UNKNOWN"; return 0;
    default: *name = 0; return 1;
    }
}
