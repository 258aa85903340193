// Functions that the host and the kernels of a device share.
#pragma once

#if defined(__CUDACC__)
#define WIDEDEQ_HOST_DEVICE __host__ __device__
#else
#define WIDEDEQ_HOST_DEVICE
#endif
