// Powers of I - eta H, and the noise below which losses say nothing; see prediction.hpp.
#include "host/run/prediction.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace widedeq {

namespace {

/// H r, by columns of H
std::vector<double> times(const HostMatrix& H, const std::vector<double>& r) {
  const auto n = r.size();
  std::vector<double> product(n);
  for (std::size_t j = 0; j < n; ++j) {
    const double* column = H.values.data() + j * n;
    for (std::size_t i = 0; i < n; ++i)
      product[i] += column[i] * r[j];
  }
  return product;
}

double loss_of(const std::vector<double>& r) {
  return 0.5 * std::inner_product(r.begin(), r.end(), r.begin(), 0.0);
}

/// The largest sum of magnitudes in a column, no less than the largest eigenvalue's size.
double norm_bound(const HostMatrix& H) {
  double largest = 0.0;
  for (Index j = 0; j < H.columns; ++j) {
    double sum = 0.0;
    for (Index i = 0; i < H.rows; ++i)
      sum += std::abs(H(i, j));
    largest = std::max(largest, sum);
  }
  return largest;
}

constexpr int flow_terms = 20;  // 1/20! is below a rounding

/// Into how many an epoch has to be cut for eta ||H|| <= 1 in each.
double flow_pieces(const HostMatrix& H, double eta) {
  return std::max(1.0, std::ceil(eta * norm_bound(H)));
}

}  // namespace

std::vector<double> linearised_losses(const HostMatrix& H, std::vector<double> r, double eta,
                                      int epochs) {
  std::vector<double> losses;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    losses.push_back(loss_of(r));
    // r <- r - eta H r
    const std::vector<double> change = times(H, r);
    for (std::size_t i = 0; i < r.size(); ++i)
      r[i] -= eta * change[i];
  }
  return losses;
}

std::vector<double> flow_losses(const HostMatrix& H, std::vector<double> r, double eta,
                                int epochs) {
  const double pieces = flow_pieces(H, eta);
  std::vector<double> losses;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    losses.push_back(loss_of(r));
    // r <- exp(-h H) r = sum of (-h H)^k r / k!,  h ||H|| <= 1
    for (double piece = 0.0; piece < pieces; ++piece) {
      std::vector<double> term = r;
      for (int k = 1; k <= flow_terms; ++k) {
        term = times(H, term);
        for (std::size_t i = 0; i < r.size(); ++i) {
          term[i] *= -eta / (pieces * k);
          r[i] += term[i];
        }
      }
    }
  }
  return losses;
}

std::vector<double> affordable_losses(const HostMatrix& H, const std::vector<double>& r, double eta,
                                      int epochs, bool is_flow) {
  constexpr double most_operations = 2e10;
  const auto n = static_cast<double>(r.size());
  const double products = is_flow ? flow_pieces(H, eta) * flow_terms : 1.0;  // an epoch
  if (n * n * epochs * products > most_operations) return {};
  return is_flow ? flow_losses(H, r, eta, epochs) : linearised_losses(H, r, eta, epochs);
}

double loss_noise(double first_loss, double tolerance) {
  return 2.0 * tolerance * std::sqrt(first_loss);
}

std::span<const double> above_noise(std::span<const double> losses, double tolerance) {
  if (losses.empty()) return losses;
  constexpr double most = 0.1;  // of a loss, which is open by twice what its root is
  const double least = std::pow(2.0 * loss_noise(losses.front(), tolerance) / most, 2);
  const auto end = std::ranges::find_if(losses, [&](double loss) { return loss < least; });
  return losses.first(static_cast<std::size_t>(end - losses.begin()));
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

LossFactors loss_factors(std::span<const double> losses, std::span<const double> predicted,
                         double tolerance) {
  const std::span<const double> measured = above_noise(losses, tolerance);
  const std::size_t same = std::min(predicted.size(), measured.size());
  return {loss_factor(measured), loss_factor(predicted.first(same)), measured.size()};
}

}  // namespace widedeq
