#include "host/run/provenance.hpp"

#include "build_info.hpp"
#include "host/run/machine.hpp"

namespace widedeq {

Json provenance(const TrainConfig& config, const RunFacts& facts, const std::string& command_line) {
  Json record;
  record["version"] = build_info::version;
  record["commit"] = build_info::git_commit;
  record["build"] = {{"type", build_info::build_type},
                     {"compiler", build_info::compiler},
                     {"flags", build_info::flags}};
  Json& libraries = record["libraries"] = Json::object();
  for (const auto& [name, version] : build_info::dependencies)
    libraries[std::string(name)] = version;
  record["host"] = host_name();
  record["processor"] = processor_model();
  record["processor_features"] = processor_features();
  record["backend"] = facts.backend;
  record["threads"] = config.threads;
  record["data"] = facts.data;
  record["started"] = timestamp();
  record["command_line"] = command_line;
  return record;
}

}  // namespace widedeq
