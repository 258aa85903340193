// See estimate_sizes.hpp.
#include "host/run/estimate_sizes.hpp"

#include <algorithm>
#include <cmath>

#include "host/update_cost.hpp"
#include "kernels/panels.hpp"

namespace widedeq {

Sizes::Sizes(const Workload& work)
    : m(static_cast<double>(work.width)),
      n(static_cast<double>(work.samples)),
      d(static_cast<double>(work.inputs)),
      real(static_cast<double>(size_of(real_of(work.precision)))),
      is_mixed(work.precision == Precision::mixed) {
  TrainerOptions how(work.chunk);
  how.warm_start = work.warm_start && !work.is_flow && work.batch == 0;
  how.batch = work.batch;
  how.audit_every = work.audit_every;
  const TrainingPlan plan =
      plan_training(work.samples, work.width, work.precision, work.tolerance, how);
  c = static_cast<double>(plan.chunk);
  is_chunked = plan.chunk < work.samples;
  is_flow = work.is_flow;
  steps = work.batch > 0 ? std::ceil(n / static_cast<double>(work.batch)) : 1.0;
  is_warm = plan.starts_warm;
  if (is_warm) audit_every = plan.audit_every;
  const Index rank = work.batch > 0 ? work.batch : plan.chunk;  // of an update
  if (is_mixed && !is_chunked && !work.is_flow)
    kept = static_cast<double>(updates_to_keep(work.width, rank));
  const double updates = std::max(0, work.epochs) * steps;
  has_factors = kept > 0.0 && updates > 0.0;
  has_change = work.weights != WeightSource::lattice || updates > kept;
  factors = has_factors ? kept * static_cast<double>(rank) : 0.0;
  const bool has_first = work.epochs > 0 && (work.automatic_rate || work.gram_every > 0);
  const int regular = work.gram_every > 0 ? (work.epochs - 1) / work.gram_every : 0;
  grams = has_first ? 1 + regular : 0;
}

double masters(const Sizes& z) {
  return z.m * z.m * (1.0 + (z.has_change ? z.real : 0.0)) + 2.0 * z.m * z.factors * z.real +
         z.m * (z.d + 2.0) * z.real;
}

int panels_of(const Workload& work, const Sizes& z) {
  return z.is_warm ? 1 : choose_panels(work.width);
}

Workload workload_of(const TrainConfig& config, Index samples, Index inputs) {
  Workload work;
  work.width = config.width.value_or(TrainConfig::default_width);
  work.samples = samples;
  work.inputs = inputs;
  work.precision = config.precision.value_or(Precision::fp64);
  work.chunk = config.chunk;
  work.is_flow = config.optimizer == Optimizer::flow;
  work.batch = config.in_batches(samples) ? config.batch_size : 0;
  work.warm_start = config.warm_start;
  work.audit_every = config.audit_every;
  work.test_samples = config.test_samples;
  work.test_every = config.test_every;
  work.epochs = config.epochs;
  work.gram_every = config.gram_every;
  work.automatic_rate = !config.learning_rate;
  work.weights = config.weights_from_file()     ? WeightSource::file
                 : config.weights == "gaussian" ? WeightSource::gaussian
                                                : WeightSource::lattice;
  work.gamma = config.gamma;
  work.tolerance = config.tolerance;
  work.injection = config.injection;
  return work;
}

}  // namespace widedeq
