// Several neighbouring entries of a column, loaded and stored at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/host_device.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq::cuda {

/// N neighbouring values, N * sizeof(T) a power of two up to 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];

  constexpr T& operator[](int i) { return values[i]; }
  constexpr const T& operator[](int i) const { return values[i]; }
};

/// N values from an address that is a multiple of their size.
template <int N, class T>
WIDEDEQ_HOST_DEVICE inline Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T>
WIDEDEQ_HOST_DEVICE inline void store(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

/// Whether columns of the view begin where packs of `bytes` may be loaded.
template <class T>
bool is_aligned(const MatrixView<T>& view, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(view.data) % bytes == 0 &&
         static_cast<std::size_t>(view.stride) * sizeof(T) % bytes == 0;
}

}  // namespace widedeq::cuda
