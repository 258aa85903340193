// Training that is saved, restored elsewhere and carried on: the same bits, whatever was going on.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "host/gradient_flow.hpp"
#include "host/mini_batches.hpp"
#include "host/run/checkpoint_archive.hpp"
#include "tests/host/warm_support.hpp"

namespace widedeq::test {
namespace {

namespace fs = std::filesystem;

enum class Way : std::uint8_t { descent, flow, batches };

struct Case {
  const char* name;
  Shape shape;
  WeightLaw law = WeightLaw::lattice;
  double rate = 0.02;  // by which the fastest mode falls
  Index chunk = 0;
  int panels = 0;
  int audit_every = 4;
  Way way = Way::descent;
};

std::ostream& operator<<(std::ostream& out, const Case& it) {
  return out << it.name;
}

class CarryOn : public testing::TestWithParam<std::tuple<Precision, Case>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  const Case& it() const { return std::get<1>(GetParam()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }

  struct Run {
    Way way;
    HostMatrix X;
    std::vector<double> y;
    Model model;
    Trainer trainer;
    GradientFlow flow;
    FlowState state;
    int epochs = 0;

    Run(const Case& it, Precision precision)
        : way(it.way),
          X(Random(5).sphere(it.shape.d, it.shape.n)),
          y(static_cast<std::size_t>(it.shape.n), 3.0),
          model(backend(), precision, {.gamma = 0.5, .panels = it.panels}, it.shape.m, it.shape.d,
                it.law, 3),
          trainer(backend(), model, X, y, {.tolerance = 1e-6}, options_of(it)),
          flow(backend(), model, trainer, 1e-3) {}

    static TrainerOptions options_of(const Case& it) {
      TrainerOptions options(it.chunk);
      options.audit_every = it.audit_every;
      options.warm_start = it.way == Way::descent;
      return options;
    }

    void transfer(Archive& archive) {
      archive.within("model", [&] { model.transfer(archive); });
      archive.within("trainer", [&] { trainer.transfer(archive); });
      archive.within("flow", [&] { state.transfer(archive); });
      archive.integer("epochs", epochs);
    }

    /// One epoch; everything it says.
    std::vector<double> epoch(double eta) {
      BatchesReport batches;
      if (way == Way::batches) batches = descend_in_batches(trainer, X, y, 4, 9, epochs, eta);
      ++epochs;
      const Evaluation now = way == Way::batches ? batches.seen : trainer.evaluate();
      EXPECT_TRUE(now.converged());
      std::vector<double> said = now.predictions;
      // Three epochs' steps in one, so that steps are rejected too.
      const FlowReport flowed = way == Way::flow ? flow.advance(state, 3.0 * eta) : FlowReport();
      said.insert(said.end(), {state.time, state.path, state.step,
                               static_cast<double>(flowed.steps + 100 * flowed.rejected)});
      said.insert(said.end(), {now.loss, static_cast<double>(now.forward.sweeps),
                               static_cast<double>(now.adjoint.sweeps), now.forward.worst_residual,
                               now.adjoint.worst_residual, now.forward.audit.value_or(-1.0),
                               way == Way::descent ? trainer.update(eta) : batches.gradient_norm});
      return said;
    }
  };
};

TEST_P(CarryOn, WithTheSameBitsFromEveryEpoch) {
  constexpr int epochs = 12;
  const double eta = it().rate / static_cast<double>(it().shape.n);
  std::string name = (fs::temp_directory_path() / "widedeq-carry-on-XXXXXX").string();
  const fs::path directory = ::mkdtemp(name.data());

  Run whole(it(), precision());
  std::vector<std::vector<double>> said;
  for (int k = 0; k < epochs; ++k) {
    CheckpointFileWriter file((directory / std::to_string(k)).string(), k);
    SavingArchive archive(backend(), file);
    whole.transfer(archive);
    file.finish();
    said.push_back(whole.epoch(eta));
  }
  const Weights end = download_weights(backend(), whole.model);
  for (int k = 0; k < epochs; ++k) {
    Run rest(it(), precision());
    CheckpointFileReader file((directory / std::to_string(k)).string());
    LoadingArchive archive(backend(), file);
    rest.transfer(archive);
    for (int j = k; j < epochs; ++j)
      ASSERT_EQ(rest.epoch(eta), said[static_cast<std::size_t>(j)])
          << "epoch " << j << " from " << k;
    const Weights again = download_weights(backend(), rest.model);
    ASSERT_EQ(again.A.values, end.A.values) << "from " << k;
    ASSERT_EQ(again.W.values, end.W.values) << "from " << k;
    ASSERT_EQ(again.u, end.u) << "from " << k;
    ASSERT_EQ(again.v, end.v) << "from " << k;
  }
  fs::remove_all(directory);
}

// few_samples: updates of A are kept as factors (host/update_cost.hpp). large_steps: A's change
// outgrows a step of its base, and the operand takes one of its own.
INSTANTIATE_TEST_SUITE_P(
    , CarryOn,
    testing::Combine(
        testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
        testing::Values(
            Case{"lattice", {97, 30, 5, 0.5}},
            Case{"gaussian", {97, 30, 5, 0.5}, WeightLaw::gaussian},
            Case{"few_samples", {130, 8, 5, 0.5}},
            Case{"large_steps", {66, 9, 4, 0.5}, WeightLaw::lattice, 0.5},
            Case{"chunks", {70, 30, 5, 0.5}, WeightLaw::lattice, 0.02, 7},
            Case{"all_rows", {70, 30, 5, 0.5}, WeightLaw::gaussian, 0.02, 0, 1},
            Case{"flow", {50, 9, 4, 0.5}, WeightLaw::lattice, 1.0, 0, 0, 4, Way::flow},
            Case{"flow_in_chunks", {40, 9, 4, 0.5}, WeightLaw::gaussian, 1.0, 5, 0, 4, Way::flow},
            Case{"batches", {97, 30, 5, 0.5}, WeightLaw::gaussian, 0.01, 0, 0, 4, Way::batches},
            Case{"batches_in_chunks",
                 {70, 30, 5, 0.5},
                 WeightLaw::lattice,
                 0.01,
                 3,
                 0,
                 4,
                 Way::batches},
            Case{"no_audits", {70, 30, 5, 0.5}, WeightLaw::lattice, 0.02, 0, 0, 1000})),
    [](const auto& it) {
      return std::string(name_of(std::get<0>(it.param))) + "_" + std::get<1>(it.param).name;
    });

/// That the cases are what their names say.
TEST(CarryOnCases, AreWhatTheirNamesSay) {
  SKIP_UNLESS_SUPPORTED(Precision::mixed);
  const auto model_after = [](const Shape& shape, double rate) {
    Model model(backend(), Precision::mixed, {.gamma = 0.5, .panels = 0}, shape.m, shape.d,
                WeightLaw::lattice, 3);
    Trainer trainer(backend(), model, Random(5).sphere(shape.d, shape.n),
                    std::vector<double>(static_cast<std::size_t>(shape.n), 3.0),
                    {.tolerance = 1e-6});
    for (int k = 0; k < 6; ++k) {
      EXPECT_TRUE(trainer.evaluate().converged());
      trainer.update(rate / static_cast<double>(shape.n));
    }
    return model;
  };
  EXPECT_GT(model_after({130, 8, 5, 0.5}, 0.02).A.view().left.columns, 0);
  EXPECT_FALSE(model_after({66, 9, 4, 0.5}, 0.5).A.operand().own_base.empty());
}

/// States that are carried on are of the base that they were made with: another one is audited.
TEST(CarryOnCases, ANewBaseOfTheDigitsIsAudited) {
  SKIP_UNLESS_SUPPORTED(Precision::mixed);
  Model model(backend(), Precision::mixed, {.gamma = 0.5, .panels = 0}, 66, 4, WeightLaw::lattice,
              3);
  TrainerOptions rarely;
  rarely.audit_every = 1000;
  Trainer trainer(backend(), model, Random(5).sphere(4, 9), std::vector<double>(9, 3.0),
                  {.tolerance = 1e-6}, rarely);
  int version = 0, changes = 0, others = 0;
  for (int k = 0; k < 8; ++k) {
    const bool has_changed = k > 0 && model.A.operand().base_version != version;
    version = model.A.operand().base_version;
    const Evaluation now = trainer.evaluate();
    ASSERT_TRUE(now.converged());
    if (k > 0) {
      EXPECT_TRUE(now.forward.audit.has_value() || !has_changed) << k;
      EXPECT_TRUE(now.adjoint.audit.has_value() || !has_changed) << k;
      changes += has_changed ? 1 : 0;
      others += now.forward.audit || now.adjoint.audit ? 0 : 1;
    }
    trainer.update(0.5 / 9.0);
  }
  EXPECT_GT(changes, 0);
  EXPECT_GT(others, 0);
}

}  // namespace
}  // namespace widedeq::test
