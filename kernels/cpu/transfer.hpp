// Memory in and out of a backend's blocks; see Backend::upload and its neighbours.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

void upload(MatrixView<const double> host, Block to);
void download(ConstBlock from, MatrixView<double> host);
void copy(ConstBlock from, Block to);
void save(ConstBlock from, std::span<std::byte> to);
void restore(std::span<const std::byte> from, Block to);
void fill(Block to, double value);
void broadcast(ConstBlock column, Block to);
void add_column(Block to, double alpha, ConstBlock column);

}  // namespace widedeq::cpu
