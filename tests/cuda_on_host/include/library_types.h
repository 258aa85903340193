// Types of elements that CUDA's libraries are told about; see cuda_runtime.h beside this.
#pragma once

enum cudaDataType_t {
  CUDA_R_32F = 0,
  CUDA_R_64F = 1,
  CUDA_R_8I = 3,
  CUDA_R_32I = 10,
};
using cudaDataType = cudaDataType_t;
