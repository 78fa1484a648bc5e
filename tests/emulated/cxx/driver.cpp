// The part of CUDA's driver that CuPy calls, which finds it as libcuda.so.1.
#include <cuda.h>

#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

using namespace emulator;

static const int LARGEST_SHARED = 227 << 10;
struct Kernel {
    Function *function;
    std::string name;
    int most_dynamic_shared = 48 << 10;
};
// With EMULATOR_DRY=1 kernels do nothing, and memory is zero: for programs too large to be run.
static const bool dry = getenv("EMULATOR_DRY") && atoi(getenv("EMULATOR_DRY"));

#pragma GCC visibility push(default)
extern "C" {

// NVRTC asks, and there is no device for it.
CUresult cuInit(unsigned) { return CUDA_ERROR_NO_DEVICE; }
CUresult cuGetExportTable(const void **table, const CUuuid *) {
    *table = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}
CUresult cuDriverGetVersion(int *version) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult error, const char **name) {
    static thread_local std::string text;
    text = "CUDA_ERROR_" + std::to_string(error);
    *name = text.c_str();
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char **text) { return cuGetErrorName(error, text); }
CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext *context) {
    *context = (CUcontext)1;
    return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuStreamGetCtx(CUstream, CUcontext *context) { return cuCtxGetCurrent(context); }

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    Lock lock(machine_lock);
    const char *text = (const char *)image;
    if (text[0] == 0x7f) return CUDA_ERROR_INVALID_IMAGE;  // machine code, not PTX
    try {
        *module = (CUmodule)load(text);
        return CUDA_SUCCESS;
    } catch (const std::exception &error) {
        fprintf(stderr, "emulator: %s\n", error.what());
        return CUDA_ERROR_INVALID_PTX;
    }
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }  // functions of it may be queued
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    Lock lock(machine_lock);
    Function *found = entry((Module *)module, name);
    if (!found) return CUDA_ERROR_NOT_FOUND;
    *function = (CUfunction) new Kernel{found, name};
    return CUDA_SUCCESS;
}
CUresult cuModuleGetGlobal(CUdeviceptr *, size_t *, CUmodule, const char *) {
    return CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
    auto *kernel = (Kernel *)function;
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024
             : attribute == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
                 ? (int)static_shared(kernel->function)
             : attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                 ? kernel->most_dynamic_shared
                 : 32;
    return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
    if (value > LARGEST_SHARED) return CUDA_ERROR_INVALID_VALUE;
    ((Kernel *)function)->most_dynamic_shared = value;
    return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int, size_t) {
    *blocks = 2;
    return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction, CUoccupancyB2DSize,
                                          size_t, int) {
    *grid = 32;
    *block = 256;
    return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream stream,
                        void **arguments, void **) {
    Lock lock(machine_lock);
    auto *kernel = (Kernel *)handle;
    bool grid = gx && gy && gz && gx <= 0x7fffffff && gy <= 65535 && gz <= 65535;
    bool block = bx && by && bz && bz <= 64 && (u64)bx * by * bz <= 1024;
    if (!grid || !block || shared > (unsigned)kernel->most_dynamic_shared)
        return CUDA_ERROR_INVALID_VALUE;
    auto launch = std::make_shared<Launch>();
    *launch = {kernel->function, {gx, gy, gz}, {bx, by, bz}, shared,
               std::vector<u8>(parameter_bytes(kernel->function)), current_device()};
    size_t k = 0;
    for (const Parameter &p : parameters(kernel->function))
        memcpy(launch->parameters.data() + p.offset, arguments[k++], p.size);
    submit(stream_of(stream), kernel->name, [launch] {
        if (!dry) run(*launch);
    });
    return CUDA_SUCCESS;
}

}
#pragma GCC visibility pop
