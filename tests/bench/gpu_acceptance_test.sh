#!/usr/bin/env bash
# bench/gpu_acceptance.sh on programs that are made up: what it says of parts that pass, fail, hang
# or are not there.
#
#     gpu_acceptance_test.sh bench/gpu_acceptance.sh
set -uo pipefail

script=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# Nothing of the machine's own may answer for a GPU.
export PATH="$work/path:$PATH"
mkdir -p "$work/path" "$work/bin"
printf '#!/bin/sh\nexit 1\n' >"$work/path/nvidia-smi"

# program NAME   from standard input
program() { cat >"$work/bin/$1" && chmod +x "$work/bin/$1"; }
program widedeq <<'END'
#!/usr/bin/env bash
case $1 in
  --version) echo "widedeq made up" ;;
  bench)
    while [ $# -gt 0 ]; do
      [ "$1" = --json ] && echo '{"rows": []}' >"$2"
      shift
    done
    echo "| a row |"
    ;;
  train)  # AUDIT: what its audits find
    while [ $# -gt 0 ]; do
      [ "$1" = --out ] && out=$2
      shift
    done
    mkdir -p "$out"
    echo '{"kind":"epoch","epoch":2,"residual_forward":9e-07,"audit_forward":'"$AUDIT"',"audit_adjoint":1e-07}' \
      >"$out/metrics.jsonl"
    ;;
esac
END
# test_program NAME LINES...   lists the suites "Good" and "Of/Two"; LINES are run for a suite
test_program() {
  local name=$1
  shift
  { echo '#!/usr/bin/env bash
if [ "$1" = --gtest_list_tests ]; then
  printf "Running main() from somewhere.cc\nGood.\n  One\nOf/Two.  # TypeParam\n  Another\n"
  exit
fi
suite=${2#--gtest_filter=}'; printf '%s\n' "$@"; } | program "$name"
}
chmod +x "$work/path/nvidia-smi"

# run EXPECTED_CODE OPTIONS...
run() {
  local expected=$1 code
  shift
  rm -rf "$work/out"
  bash "$script" --binaries "$work/bin" --out "$work/out" "$@" >"$work/printed" 2>&1
  code=$?
  [ $code = "$expected" ] || { fail "exit code $code, not $expected, with $*"; cat "$work/printed"; }
}
says() { grep -qF -- "$1" "$work/out/$2" || { fail "no '$1' in $2"; cat "$work/out/$2"; }; }

test_program widedeq_tests_kernels 'exit 0'
test_program widedeq_tests_host 'exit 0'
run 0 --only 'info|tests|bench-mixed$' --shapes 64x16 --name all
says '"name": "tests-kernels", "result": "passed"' all.json
says '"bench-mixed", "result": "passed"' all.json
says '"mixed": {"rows": []}' all.json
says '| a row |' all.md
says '2 suites, exit code 0' logs/tests-host.log

# One suite fails: so does the part, and the others run.
test_program widedeq_tests_host '[[ $suite == Of/Two* ]] && { echo "what went wrong"; exit 1; }; exit 0'
run 1 --only 'tests|info'
says '"tests-host", "result": "FAILED: exit code 1"' acceptance.json
says '"tests-kernels", "result": "passed"' acceptance.json
says 'Good: exit code 0' logs/tests-host.log
says 'what went wrong' logs/tests-host.log

# A program without tests, and none at all, are failures.
printf '#!/bin/sh\nexit 0\n' | program widedeq_tests_host
run 1 --only tests-host
says 'has no tests' logs/tests-host.log
rm "$work/bin/widedeq_tests_host"
run 1 --only tests-host
says 'there is no such program' logs/tests-host.log

# An audit that has found too much is a failure, though the run went on.
AUDIT=9e-7 run 0 --only accuracy --shapes 16384x16
for found in 2e-3 null; do
  AUDIT=$found run 1 --only accuracy --shapes 16384x16
done

# What hangs is ended with its part, and leaves nothing behind.
test_program widedeq_tests_kernels "exec -a left-behind-$$ sleep 60"
run 1 --only tests-kernels --seconds 6
says 'FAILED: not done in' acceptance.json
sleep 1
grep -lq "left-behin[d]-$$" /proc/[0-9]*/cmdline 2>/dev/null && fail "a test lives on after its part"

run 2 --only nothing
[ $failures = 0 ] && echo "passed"
exit $((failures > 0))
