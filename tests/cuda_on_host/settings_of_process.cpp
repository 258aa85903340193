// A stand-in for another machine, chosen from outside: WIDEDEQ_TEST_MACHINE holds words like
// "devices=0", "driver=12020", "memory=100000000", "graphs=0", "int8=0", "major=7".
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tests/cuda_on_host/cuda_on_host.hpp"

namespace cuda_on_host {
namespace {

const bool is_set = [] {
  const char* text = std::getenv("WIDEDEQ_TEST_MACHINE");
  Settings settings;
  std::istringstream words(text == nullptr ? "" : text);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const long value = std::stol(word.substr(equals + 1));
    if (name == "devices") {
      settings.devices = static_cast<int>(value);
    } else if (name == "driver") {
      settings.driver_version = static_cast<int>(value);
    } else if (name == "memory") {
      settings.memory = static_cast<std::size_t>(value);
    } else if (name == "graphs") {
      settings.conditional_graphs = value != 0;
    } else if (name == "int8") {
      settings.int8_products = value != 0;
    } else if (name == "major") {
      settings.major = static_cast<int>(value);
    } else {
      throw std::invalid_argument("WIDEDEQ_TEST_MACHINE: " + word);
    }
  }
  set_settings(settings);
  return true;
}();

}  // namespace
}  // namespace cuda_on_host
