// The fused kernel's launch, and its test against the library's products; see fused_sweep.cuh.
#include "kernels/cuda/fused_sweep.cuh"

#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels/cuda/fused_sweep.hpp"
#include "kernels/cuda/gauss_seidel.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/transfer.hpp"

namespace widedeq::cuda {
namespace {

template <Epilogue epilogue, int columns>
void enqueue(cudaStream_t stream, const FusedPanel& panel, Index count) {
  constexpr std::size_t shared_bytes = FusedShape<columns>::shared_bytes;
  const auto kernel = &fused_panel<epilogue, columns>;
  WIDEDEQ_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(shared_bytes)));
  const Index blocks = tiles_of(panel.rows.count) * ((count + columns - 1) / columns);
  launch(stream,
         {.blocks = dim3(static_cast<unsigned>(blocks)),
          .threads = fused_threads,
          .shared_bytes = shared_bytes},
         kernel, panel);
}

template <int columns>
void enqueue(cudaStream_t stream, Epilogue epilogue, const FusedPanel& panel, Index count) {
  switch (epilogue) {
    case Epilogue::relu:
      return enqueue<Epilogue::relu, columns>(stream, panel, count);
    case Epilogue::mask:
      return enqueue<Epilogue::mask, columns>(stream, panel, count);
    case Epilogue::none:
      break;
  }
  enqueue<Epilogue::none, columns>(stream, panel, count);
}

/// rows x columns of device memory holding bytes that a few multiplications make.
Matrix scrambled(Context& context, Element element, Index rows, Index columns, std::uint32_t seed) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows * columns) * size_of(element));
  const auto next = [&seed] { return (seed = seed * 1664525U + 1013904223U) >> 8; };
  for (std::size_t at = 0; at < bytes.size(); at += size_of(element)) {
    if (element == Element::int8) {
      bytes[at] = static_cast<std::byte>(static_cast<int>(next() % 255) - 127);
    } else {
      const float value = static_cast<float>(next() % 2001) / 1000.0F - 1.0F;
      std::memcpy(&bytes[at], &value, sizeof value);
    }
  }
  Matrix matrix = context.allocate(element, rows, columns);
  restore(context, bytes, matrix);
  return matrix;
}

SweepState make_state(Context& context, Index m, Index n) {
  SweepState state;
  state.P = scrambled(context, Element::float32, m, n, 3);
  state.applied = context.allocate(Element::float32, m, n);
  state.pending = context.allocate(Element::int8, m, n);
  for (Matrix* row : {&state.scale, &state.residual, &state.size, &state.first_step})
    *row = context.allocate_row(Element::float64, n);
  state.pace = context.allocate(Element::float64, 4, n);
  state.open = context.allocate_row(Element::int32, n);
  state.count = n;
  return state;
}

/// P, Zhat, pending increments and residuals, byte after byte.
std::vector<std::byte> bytes_of(Context& context, const SweepState& state) {
  std::vector<std::byte> all;
  for (const Matrix* matrix : {&state.P, &state.applied, &state.pending, &state.residual}) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(matrix->rows() * matrix->columns()) *
                                 size_of(matrix->element()));
    save(context, *matrix, bytes);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

/// A state after a few sweeps, every epilogue and both ways of reading A in turn.
std::vector<std::byte> sweep_by(Context& context, const DigitOperand& A,
                                const SweepAlgorithm& algorithm) {
  constexpr Index columns = 67;
  const Matrix gate = scrambled(context, Element::float32, A.width, columns, 5);
  std::vector<std::byte> all;
  Loop loop(LoopKind::host);
  for (const Epilogue epilogue : {Epilogue::relu, Epilogue::mask, Epilogue::none}) {
    SweepState state = make_state(context, A.width, columns);
    const Sweep sweep{.A = A,
                      .transpose = epilogue == Epilogue::mask ? Transpose::yes : Transpose::no,
                      .s = 0.25 / std::sqrt(static_cast<double>(A.width)),
                      .epilogue = epilogue,
                      .gate = gate,
                      .tolerance = 1e-6};
    measure_panels(context, algorithm, state, sweep, true);
    iterate_panels(context, loop, algorithm, state, sweep, 3);
    const std::vector<std::byte> bytes = bytes_of(context, state);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

}  // namespace

void enqueue_fused(cudaStream_t stream, Epilogue epilogue, const FusedPanel& panel, Index columns,
                   int tile_columns) {
  if (tile_columns == 128) return enqueue<128>(stream, epilogue, panel, columns);
  enqueue<64>(stream, epilogue, panel, columns);
}

std::string why_not_fused(Context& context) {
  constexpr Index m = 300;
  constexpr int panels = 3;
  try {
    DigitOperand A;
    A.precision = Precision::mixed;
    A.width = m;
    A.step = 1.0 / 64.0;
    A.base.plain = scrambled(context, Element::int8, m, m, 1);
    A.base.transposed = scrambled(context, Element::int8, m, m, 2);
    A.base.plain_is_current = A.base.transposed_is_current = true;
    const std::vector<std::byte> expected = sweep_by(context, A, {.panels = panels});
    for (const int tile_columns : {64, 128}) {
      if (tile_columns == 128 && !has_room<128>(context.properties())) continue;
      const SweepAlgorithm fused{
          .panels = panels, .multiplier = Multiplier::fused, .tile_columns = tile_columns};
      if (sweep_by(context, A, fused) != expected)
        return "our int8 kernel and the library's products do not agree on this GPU";
    }
  } catch (const OutOfDeviceMemory&) {
    throw;  // says nothing of the kernel
  } catch (const DeviceError& error) {
    return std::string("our int8 kernel does not run on this GPU: ") + error.what();
  }
  return {};
}

}  // namespace widedeq::cuda
