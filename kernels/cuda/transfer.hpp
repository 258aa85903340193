// Memory in and out of a device's blocks; see Backend::upload and its neighbours.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

void upload(Context& context, MatrixView<const double> host, Block to);
void download(Context& context, ConstBlock from, MatrixView<double> host);
void copy(Context& context, ConstBlock from, Block to);
void save(Context& context, ConstBlock from, std::span<std::byte> to);
void restore(Context& context, std::span<const std::byte> from, Block to);
void fill(Context& context, Block to, double value);
void broadcast(Context& context, ConstBlock column, Block to);
void add_column(Context& context, Block to, double alpha, ConstBlock column);

}  // namespace widedeq::cuda
