#include "host/run/prediction.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace widedeq {

std::vector<double> linearised_losses(const HostMatrix& H, std::vector<double> r, double eta,
                                      int epochs) {
  std::vector<double> losses;
  std::vector<double> change(r.size());
  const auto n = r.size();
  for (int epoch = 0; epoch < epochs; ++epoch) {
    losses.push_back(0.5 * std::inner_product(r.begin(), r.end(), r.begin(), 0.0));
    // r <- r - eta H r, by columns of H
    std::fill(change.begin(), change.end(), 0.0);
    for (std::size_t j = 0; j < n; ++j) {
      const double* column = H.values.data() + j * n;
      for (std::size_t i = 0; i < n; ++i)
        change[i] += column[i] * r[j];
    }
    for (std::size_t i = 0; i < n; ++i)
      r[i] -= eta * change[i];
  }
  return losses;
}

double loss_factor(std::span<const double> losses) {
  // slope = sum (k - mean k)(log l_k - mean log l) / sum (k - mean k)^2
  double count = 0, k_sum = 0, log_sum = 0, kk_sum = 0, klog_sum = 0;
  for (std::size_t k = losses.size() / 2; k < losses.size(); ++k) {
    if (!(losses[k] > 0)) continue;
    const auto x = static_cast<double>(k);
    const double y = std::log(losses[k]);
    count += 1;
    k_sum += x;
    log_sum += y;
    kk_sum += x * x;
    klog_sum += x * y;
  }
  if (count < 2) return std::numeric_limits<double>::quiet_NaN();
  return std::exp((count * klog_sum - k_sum * log_sum) / (count * kk_sum - k_sum * k_sum));
}

}  // namespace widedeq
