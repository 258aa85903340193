// Plans a run as `train` would, and stops there; see dry_run.hpp.
#include "host/run/dry_run.hpp"

#include "host/run/prepare.hpp"
#include "host/run/weights_file.hpp"

namespace widedeq {

Estimate dry_run(const TrainConfig& config) {
  PlannedRun run = plan(config);
  if (!run.config.width) run.config.width = load_weights(run.config.weights).A.rows;
  Workload work = workload_of(run.config, run.data.inputs.columns, run.data.inputs.rows);
  work.checkpoints = run.config.checkpoints_at_once();
  return estimate(*run.backend, work, config.out);
}

}  // namespace widedeq
