// Boost.Odeint's Dormand-Prince pair on the backend's matrices; see gradient_flow.hpp.
#include "host/gradient_flow.hpp"

#include <algorithm>
#include <array>
#include <boost/numeric/odeint/algebra/vector_space_algebra.hpp>
#include <boost/numeric/odeint/stepper/controlled_runge_kutta.hpp>
#include <boost/numeric/odeint/stepper/runge_kutta_dopri5.hpp>
#include <cmath>
#include <limits>

namespace boost::numeric::odeint {

// How odeint makes its stages: empty at first, copied empty, sized like the state.
template <>
struct is_resizeable<widedeq::Parameters> : boost::true_type {};

template <>
struct same_size_impl<widedeq::Parameters, widedeq::Parameters> {
  static bool same_size(const widedeq::Parameters& a, const widedeq::Parameters& b) {
    return a.empty() == b.empty();
  }
};

template <>
struct resize_impl<widedeq::Parameters, widedeq::Parameters> {
  static void resize(widedeq::Parameters& to, const widedeq::Parameters& like) {
    to = widedeq::Parameters::like(like);
  }
};

template <>
struct copy_impl<widedeq::Parameters, widedeq::Parameters> {
  static void copy(const widedeq::Parameters& from, widedeq::Parameters& to) { to.copy(from); }
};

template <>
struct state_wrapper<widedeq::Parameters> {
  state_wrapper() = default;
  state_wrapper(const state_wrapper& /*other*/) {}
  state_wrapper& operator=(const state_wrapper&) = delete;
  ~state_wrapper() = default;

  widedeq::Parameters m_v;
};

}  // namespace boost::numeric::odeint

namespace widedeq {
namespace {

namespace odeint = boost::numeric::odeint;

/// to = sum of factors times terms: odeint's operation, done by the backend.
template <std::size_t count>
class Sum {
 public:
  template <class... Factors>
  explicit Sum(Factors... factors) : factors_{factors...} {}

  template <class... Terms>
  void operator()(Parameters& to, const Terms&... terms) const {
    static_assert(sizeof...(terms) == count);
    const std::array<const Parameters*, count> all{&terms...};
    std::array<Term, count> weighted{};
    for (std::size_t i = 0; i < count; ++i)
      weighted[i] = {factors_[i], all[i]};
    add_up(to, weighted);
  }

 private:
  std::array<double, count> factors_;
};

/// The sums a Dormand-Prince step is made of, by odeint's names for them.
struct OdeintSums {
  template <class...>
  using scale_sum2 = Sum<2>;
  template <class...>
  using scale_sum3 = Sum<3>;
  template <class...>
  using scale_sum4 = Sum<4>;
  template <class...>
  using scale_sum5 = Sum<5>;
  template <class...>
  using scale_sum6 = Sum<6>;
};

using Stepper =
    odeint::runge_kutta_dopri5<Parameters, double, Parameters, double, odeint::vector_space_algebra,
                               OdeintSums, odeint::initially_resizer>;

/// What a step is judged by, and what is found of it.
struct Judgement {
  double tolerance = 0.0, path = 0.0;
  Parameters* next = nullptr;  // the point it leads to; finite where the step is any good
  double length = 0.0;         // of the step, found
};

/// ||error|| over what is allowed.
class ErrorNorm {
 public:
  explicit ErrorNorm(Judgement* judgement = nullptr) : judgement_(judgement) {}

  template <class Algebra>
  double error(Algebra& /*sums*/, const Parameters& x, const Parameters& /*dxdt*/,
               Parameters& error, double /*dt*/) const {
    Judgement& it = *judgement_;
    const double size = norm(error);
    const std::array<Term, 2> step{Term{1.0, it.next}, Term{-1.0, &x}};
    add_up(error, step);
    it.length = norm(error);
    // Where nothing moves there is no error: not 0/0. A norm that is NaN is the worst.
    if (size == 0.0) return 0.0;
    const double ratio = size / (it.tolerance * (it.path + it.length));
    return std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
  }

 private:
  /// Zero times a direction is added to a point: so the backend tells a norm.
  double norm(const Parameters& direction) const {
    return std::sqrt(judgement_->next->add_scaled(0.0, direction));
  }

  Judgement* judgement_;
};

using Controlled = odeint::controlled_runge_kutta<Stepper, ErrorNorm>;

/// Thrown through odeint by a stage that has no derivative.
struct StageFailed {
  std::optional<Evaluation> evaluation;  // none: the stage was not finite
};

/// Steps this much smaller than the interval, or so many, will not get anywhere.
constexpr double smallest_share = 1e-10;
constexpr int most_steps = 2000;  // accepted or not

}  // namespace

struct GradientFlow::Integrator {
  Integrator(Backend& backend, const Model& model)
      : x(backend, model),
        next(backend, model),
        slope(backend, model),
        next_slope(backend, model),
        stepper(ErrorNorm(&judgement)) {}

  Judgement judgement;
  Parameters x, next;            // theta before and after a step
  Parameters slope, next_slope;  // d theta / dt there
  Controlled stepper;
};

void FlowState::transfer(Archive& archive) {
  archive.number("time", time);
  archive.number("path", path);
  archive.number("step", step);
}

GradientFlow::GradientFlow(Backend& backend, Model& model, Trainer& trainer, double tolerance)
    : backend_(backend), model_(model), trainer_(trainer), tolerance_(tolerance) {}

GradientFlow::~GradientFlow() = default;

FlowReport GradientFlow::advance(FlowState& state, double span) {
  if (!integrator_) integrator_ = std::make_unique<Integrator>(backend_, model_);
  Integrator& at = *integrator_;
  FlowReport report;
  report.gradient_norm = trainer_.gradient(-1.0, at.slope);
  at.x.take(model_);

  // d theta / dt = -grad loss(theta); theta becomes the model's
  const auto system = [&](const Parameters& theta, Parameters& slope, double /*t*/) {
    // To find out whether it is finite, without a stage of its own: 0 theta, squared
    if (!std::isfinite(slope.add_scaled(0.0, theta))) throw StageFailed{};
    theta.put_into(model_);
    trainer_.forget();
    Evaluation evaluation = trainer_.evaluate();
    ++report.evaluations;
    if (!evaluation.converged()) throw StageFailed{std::move(evaluation)};
    trainer_.gradient(-1.0, slope);
  };

  if (state.step <= 0.0) state.step = span;
  double left = span;
  while (left > 0.0) {
    // Equal steps to the end, none larger than what is proposed.
    const double pieces = std::ceil(left / state.step);
    double step = left / pieces;
    const double tried = report.last_step = step;
    double t = 0.0;
    at.judgement = {tolerance_, state.path, &at.next};
    odeint::controlled_step_result result = odeint::fail;
    bool is_solved = true;
    try {
      result = at.stepper.try_step(system, at.x, at.slope, t, at.next, at.next_slope, step);
    } catch (StageFailed& failed) {
      step = tried / 2.0;
      is_solved = false;
      report.unsolved = std::move(failed.evaluation);
    }
    if (result == odeint::success) {
      state.path += at.judgement.length;
      std::swap(at.x, at.next);
      std::swap(at.slope, at.next_slope);
      state.step =
          std::max(state.step, step);  // one cut short says nothing against the one proposed
      left = pieces > 1.0 ? left - tried : 0.0;
      ++report.steps;
    } else {
      state.step = step;
      ++report.rejected;
    }
    const bool is_small = state.step < smallest_share * span;
    if (left > 0.0 && (is_small || report.steps + report.rejected >= most_steps)) {
      report.status = is_solved ? FlowStatus::stalled : FlowStatus::unsolved;
      at.x.put_into(model_);
      break;
    }
  }
  if (report.status == FlowStatus::arrived) state.time += span;
  trainer_.forget();
  return report;
}

double smallest_flow_tolerance(double residual, Precision precision) {
  const double gradients = precision == Precision::fp64   ? 1e-12
                           : precision == Precision::fp32 ? 2e-6
                                                          : 1e-5;
  constexpr double seen = 1.0 / 12.0;
  return std::max(residual, seen * gradients);
}

}  // namespace widedeq
