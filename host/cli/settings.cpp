// Settings (host/run/config.hpp) as command-line options.
#include <fmt/format.h>

#include <algorithm>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"

namespace widedeq {

CLI::Option* add_text_option(CLI::App& app, const std::string& option, const std::string& type,
                             const std::string& help,
                             std::function<void(const std::string&)> store) {
  const auto checked = [option, type, store = std::move(store)](const std::string& text) {
    // The parser takes whatever comes next, be it another option.
    if (text.starts_with("--"))
      throw Failure(ExitCode::usage, option + " lacks a value before " + text, "command line",
                    "give " + option + " " + type);
    // A variable of the shell that was never set, most likely: not the same as no option.
    if (text.empty())
      throw Failure(ExitCode::usage, option + " has an empty value", "command line",
                    "give " + option + " " + type + ", or leave it out");
    store(text);
  };
  return app.add_option_function<std::string>(option, checked, help)->type_name(type)->take_last();
}

void add_setting(CLI::App& app, std::string_view name, GivenSettings& given) {
  const Setting& entry = setting(name);
  const std::string key(name);
  const std::string help(entry.help);
  if (entry.kind == SettingKind::boolean) {
    // --skip=false is --no-skip. (What the parser itself makes of a flag's value is a number.)
    const auto flag = [&](const std::string& prefix, bool value, const std::string& about) {
      const std::string option = prefix + key;
      const auto store = [&given, option, key, value](const CLI::results_t& said) {
        const std::string& text = said.back();
        if (!text.empty() && text != "true" && text != "false")
          throw Failure(ExitCode::usage, option + "=" + text + " is not allowed", "command line",
                        "give true or false, or no value");
        given.emplace_back(key, (text != "false") == value ? "true" : "false");
        return true;
      };
      app.add_option(option, store, about)->expected(0)->take_last();
    };
    flag("--", true, "with " + help + " (the default)");
    flag("--no-", false, "without it");
    return;
  }
  const auto value = entry.get(TrainConfig());
  add_text_option(app, "--" + key, std::string(entry.placeholder),
                  value ? fmt::format("{} [{}]", help, *value) : help,
                  [&given, key](const std::string& text) { given.emplace_back(key, text); });
}

bool has_setting(const GivenSettings& given, std::string_view name) {
  return std::ranges::any_of(given, [&](const auto& setting) { return setting.first == name; });
}

void require_option(const std::string& command, const std::string& option, bool is_given) {
  if (!is_given)
    throw Failure(ExitCode::usage, option + " is missing", command, "see " + command + " --help");
}

void apply_given(TrainConfig& config, const GivenSettings& given) {
  for (const auto& [name, text] : given)
    apply_setting(config, setting(name), text, fmt::format("--{} {}", name, text), "command line");
}

}  // namespace widedeq
