#!/usr/bin/env bash
# clang-tidy on the sources of a configured build folder; any finding fails.
#
#     cmake/lint.sh BUILD_FOLDER JOBS all|changed
#
# "changed" means: different from the last commit, or not yet committed at all.
set -euo pipefail
build=$1 jobs=$2 which=$3
# As CMake calls this folder: through a symbolic link it has another name.
home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")

# A source that is not built in this configuration has no compile command: leave it out.
sources() {
  case "$which" in
    all) git ls-files --cached --others --exclude-standard -- '*.cpp' ;;
    changed)
      git diff --name-only --diff-filter=d HEAD -- '*.cpp'
      git ls-files --others --exclude-standard -- '*.cpp'
      ;;
  esac | while read -r file; do
    grep --quiet --fixed-strings "\"file\": \"$home/$file\"" "$build/compile_commands.json" &&
      echo "$file" || true
  done
}

cmake --build "$build" --target widedeq_build_info >/dev/null  # the one generated header
list=$(sources)
if [ "$which" = all ] && [ -z "$list" ]; then
  echo "lint: no source has a compile command in $build" >&2
  exit 1
fi
# The compile commands are GCC's; clang does not know all of its warnings.
printf '%s' "$list" | xargs --no-run-if-empty --max-procs="$jobs" --max-args=1 \
  clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument
