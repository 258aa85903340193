// widedeq doctor: what it says, how it ends, and that it leaves nothing behind.
#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class DoctorTest : public CliTest {
 protected:
  /// The findings of one name in `doctor --json`.
  static std::vector<nlohmann::json> named(const nlohmann::json& diagnosis,
                                           const std::string& name) {
    std::vector<nlohmann::json> chosen;
    for (const auto& finding : diagnosis.at("findings"))
      if (finding.at("name") == name) chosen.push_back(finding);
    return chosen;
  }
};

TEST_F(DoctorTest, IsContentInAGoodDirectory) {
  fs::create_directory(path("runs"));
  const auto before = files();
  const Result result = run("doctor --out runs");
  EXPECT_EQ(result.code, 0) << result.output << result.error;
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(files(), before);
  for (const char* part :
       {"processor", "threads", "precisions", "gpu", "libraries", "OpenBLAS", "memory", "ulimits",
        "batch system", "file system", "writing", "fsync", "locking", "clock", "no failures"})
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
  EXPECT_EQ(result.output.find("\nfail "), std::string::npos) << result.output;
  EXPECT_EQ(run("doctor").code, 0);  // the working directory
  EXPECT_EQ(files(), before);
}

TEST_F(DoctorTest, TheDirectoryDecidesOnInputAndOutput) {
  write_text("file", "x");
  const auto before = files();
  for (const char* place : {"file/runs", "missing", "file"}) {
    const Result result = run(std::string("doctor --out ") + place);
    EXPECT_EQ(result.code, 74) << place << result.output;
    const auto lines = result.complaints();
    ASSERT_EQ(lines.size(), 1U) << result.error;
    EXPECT_NE(lines[0].find(place), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("--out"), std::string::npos) << lines[0];
    EXPECT_NE(result.output.find("fail  directory"), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("1 failure,"), std::string::npos) << result.output;
  }
  EXPECT_EQ(files(), before);

  fs::create_directory(path("closed"));
  fs::permissions(path("closed"), fs::perms::owner_read | fs::perms::owner_exec);
  const bool root_writes_everywhere = ::access(path("closed").c_str(), W_OK) == 0;
  EXPECT_EQ(run("doctor --out closed").code, root_writes_everywhere ? 0 : 74);
}

TEST_F(DoctorTest, JsonSaysTheSame) {
  const Result good = run("doctor --json");
  EXPECT_EQ(good.code, 0);
  const auto diagnosis = nlohmann::json::parse(good.output);
  EXPECT_EQ(diagnosis.at("failures"), 0);
  EXPECT_EQ(diagnosis.at("directory"), ".");
  EXPECT_GE(diagnosis.at("findings").size(), 10U);
  int warnings = 0;
  for (const auto& finding : diagnosis.at("findings")) {
    EXPECT_TRUE(finding.at("severity") == "ok" || finding.at("severity") == "warn") << finding;
    EXPECT_EQ(finding.at("severity") == "ok", finding.at("remedy") == "") << finding;
    EXPECT_NE(finding.at("text"), "") << finding;
    warnings += finding.at("severity") == "warn" ? 1 : 0;
  }
  EXPECT_EQ(diagnosis.at("warnings"), warnings);

  const Result bad = run("doctor --json --out missing");
  EXPECT_EQ(bad.code, 74);
  EXPECT_EQ(nlohmann::json::parse(bad.output).at("failures"), 1);
}

TEST_F(DoctorTest, ReadsTheBatchSystemsVariables) {
  const auto with = [&](const std::string& variables, const std::string& arguments) {
    // The tool is run by the shell after `cd ... && `, so variables go by env.
    const Result result = run_with(variables, "doctor --json " + arguments);
    EXPECT_EQ(result.code, 0) << result.error;
    const auto found = named(nlohmann::json::parse(result.output), "batch system");
    return found.empty() ? nlohmann::json() : found.front();
  };
  const std::string clean = "-u SLURM_JOB_ID -u PBS_JOBID -u LSB_JOBID -u SGE_TASK_ID ";
  EXPECT_EQ(with(clean, "").at("text"), "none");

  const auto slurm = with(clean +
                              "SLURM_JOB_ID=4711 SLURM_CPUS_PER_TASK=3 SLURM_MEM_PER_NODE=2048 "
                              "SLURM_JOB_END_TIME=100 ",
                          "--threads 1");
  EXPECT_EQ(slurm.at("severity"), "warn");
  const std::string text = slurm.at("text");
  for (const char* part : {"Slurm job 4711", "3 cores", "2.15 GB", "should have ended"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  EXPECT_NE(slurm.at("remedy").get<std::string>().find("--threads 3"), std::string::npos) << slurm;

  const auto pbs = with(clean + "PBS_JOBID=9.server NCPUS=1 ", "--threads 1");
  EXPECT_EQ(pbs.at("severity"), "ok") << pbs;
  EXPECT_NE(pbs.at("text").get<std::string>().find("PBS job 9.server"), std::string::npos) << pbs;

  const auto nonsense = with(clean +
                                 "SLURM_JOB_ID=1 SLURM_CPUS_PER_TASK=many "
                                 "SLURM_JOB_END_TIME=soon ",
                             "--threads 1");
  EXPECT_EQ(nonsense.at("text"), "Slurm job 1");
}

TEST_F(DoctorTest, WarnsOfThreadsThatGetInEachOthersWay) {
  const auto threads = [&](const std::string& variables, const std::string& arguments) {
    const Result result = run_with(variables, "doctor --json " + arguments);
    return named(nlohmann::json::parse(result.output), "threads").at(0);
  };
  EXPECT_EQ(threads("OMP_NUM_THREADS=100000 ", "").at("severity"), "warn");
  EXPECT_EQ(threads("OMP_NUM_THREADS=two ", "").at("severity"), "warn");
  EXPECT_EQ(threads("OMP_NUM_THREADS=1 ", "--threads 100").at("severity"), "warn");
}

TEST_F(DoctorTest, BlasUsesTheProcessorUnlessTheUserHasChosen) {
  const auto blas = [&](const std::string& variables) {
    const Result result = run_with(variables, "doctor --json");
    EXPECT_EQ(result.code, 0) << result.error;
    return named(nlohmann::json::parse(result.output), "blas").at(0);
  };
  EXPECT_EQ(blas("-u OPENBLAS_CORETYPE ").at("severity"), "ok");
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const auto chosen = blas("OPENBLAS_CORETYPE=Prescott ");
  EXPECT_NE(chosen.at("text").get<std::string>().find("Prescott"), std::string::npos) << chosen;
  EXPECT_EQ(chosen.at("severity"), has_avx2 ? "warn" : "ok") << chosen;
#endif
}

TEST_F(DoctorTest, RefusesWhatItDoesNotKnow) {
  expect_refused("doctor --outt x", 2, {"--outt", "--out"});
  expect_refused("doctor --out", 2, {"--out"});
}

}  // namespace
}  // namespace widedeq::test
