// oneDNN's int8 matmul behind three functions; see integer_product.hpp.
//
// oneDNN thinks in rows: our column-major m x n matrix is its row-major n x m one. The product
// C = op(M) q is therefore C' = q' op(M)', with q' as the source and op(M)' as the weights.
#include "kernels/cpu/integer_product.hpp"

#include <vector>

#include "kernels/error.hpp"

namespace widedeq::cpu {
namespace {

using Type = dnnl::memory::data_type;
using Dims = dnnl::memory::dims;

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& queue() {
  thread_local dnnl::stream instance(engine());
  return instance;
}

/// Runs `call` and turns oneDNN's exceptions into ours.
template <class Call>
auto checked(const char* name, Call call) {
  try {
    return call();
  } catch (const dnnl::error& error) {
    throw DeviceError(std::string("oneDNN: ") + name + ": " + error.what() + " (status " +
                      std::to_string(static_cast<int>(error.status)) + ")");
  }
}

/// n x m times m x m; `weights` says in which layout the weights come.
dnnl::matmul::primitive_desc describe(Index m, Index n, const dnnl::memory::desc& weights) {
  const dnnl::memory::desc source({n, m}, Type::s8, Dims{m, 1});
  const dnnl::memory::desc product({n, m}, Type::s32, Dims{m, 1});
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), source, weights, product};
#else
  return {dnnl::matmul::desc(source, weights, product), engine()};
#endif
}

/// oneDNN's instruction sets are sets of bits.
bool has(dnnl::cpu_isa isa) {
  const auto wanted = static_cast<unsigned>(isa);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

}  // namespace

void PackedIntegers::pack(const std::int8_t* M, Index m, Transpose transpose) {
  const bool transposed = transpose == Transpose::yes;
  checked("reorder", [&] {
    // The weights' entry (k, i) is op(M)(i, k), which lies at i + k m, or at k + i m.
    const dnnl::memory::desc plain({m, m}, Type::s8, transposed ? Dims{1, m} : Dims{m, 1});
    if (!weights_ || width_ != m) {
      width_ = m;
      const dnnl::memory::desc any({m, m}, Type::s8, dnnl::memory::format_tag::any);
      weights_ = dnnl::memory(describe(m, 4 * column_step, any).weights_desc(), engine());
    }
    // oneDNN takes no pointers to const; it only reads this one.
    dnnl::memory source(plain, engine(), const_cast<std::int8_t*>(M));
    dnnl::reorder(source, weights_).execute(queue(), source, weights_);
    queue().wait();
  });
}

void PackedIntegers::multiply(const std::int8_t* q, Index columns, std::int32_t* product) const {
  checked("matmul", [&] {
    // oneDNN caches primitives by shape, so making one anew costs a look-up.
    const auto description = describe(width_, columns, weights_.get_desc());
    const dnnl::memory source(description.src_desc(), engine(), const_cast<std::int8_t*>(q));
    const dnnl::memory target(description.dst_desc(), engine(), product);
    dnnl::matmul(description)
        .execute(queue(),
                 {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights_}, {DNNL_ARG_DST, target}});
    queue().wait();
  });
}

std::string why_integers_are_inexact() {
  static const std::string reason = [] {
    constexpr Index m = 128;
    std::vector<std::int8_t> M(m * m), q(m * column_step);
    for (std::size_t i = 0; i < M.size(); ++i)
      M[i] = static_cast<std::int8_t>(i % 3 == 2 ? -127 : 127);
    for (std::size_t i = 0; i < q.size(); ++i)
      q[i] = static_cast<std::int8_t>(i % 5 == 4 ? -127 : 127);
    std::vector<std::int32_t> product(m * column_step);
    PackedIntegers packed;
    packed.pack(M.data(), m, Transpose::no);
    packed.multiply(q.data(), column_step, product.data());
    for (Index j = 0; j < column_step; ++j) {
      for (Index i = 0; i < m; ++i) {
        std::int32_t sum = 0;
        for (Index k = 0; k < m; ++k)
          sum += M[static_cast<std::size_t>(i + k * m)] * q[static_cast<std::size_t>(k + j * m)];
        if (sum != product[static_cast<std::size_t>(i + j * m)])
          return std::string("int8 products saturate on this processor (no VNNI or AMX)");
      }
    }
    return std::string();
  }();
  return reason;
}

bool has_fast_integers() {
  return has(dnnl::cpu_isa::avx512_core_vnni);  // a subset of what AMX implies
}

std::string integer_library() {
  const dnnl_version_t* version = dnnl_version();
  const auto isa = [] {
    if (has(dnnl::cpu_isa::avx512_core_amx)) return "AMX";
    if (has(dnnl::cpu_isa::avx512_core_vnni)) return "AVX512-VNNI";
    if (has(dnnl::cpu_isa::avx2_vnni)) return "AVX-VNNI";
    return "no int8 dot products";
  }();
  return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch) + " (" + isa + ")";
}

}  // namespace widedeq::cpu
