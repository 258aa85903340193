#!/usr/bin/env bash
# Everything that needs a GPU, in one go of at most nine minutes: tests, sanitizers, benchmarks.
#
#     bench/gpu_acceptance.sh                     builds (preset cuda) and runs
#     bench/gpu_acceptance.sh --binaries DIR      runs what lies in DIR or below it: widedeq,
#                                                 widedeq_tests_kernels, widedeq_tests_host and, in
#                                                 DIR itself, libwidedeq_cuda.so and other libraries
#       --out DIR       where results go; else bench/results/<device>
#       --only REGEX    only parts whose names match, as in --only 'tests|memcheck'
#       --name NAME     of the files written [acceptance]
#       --seconds N     the most time for all of it, building left out [540]
#       --shapes LIST   what is timed; see below
#       --row-seconds S the most time for a row of the benchmarks, and as much for its product [0.6]
#
# Needs bash, coreutils, find, grep, sed, xargs and a driver; no network. The sanitizers run where
# there is compute-sanitizer. Binaries for another machine want -DWIDEDEQ_ARCH=x86-64-v3, and the
# toolkit's libraries there or beside them.
# Every part runs even if one before it failed, each with a time limit of its own, and the last thing
# printed is the table of parts. Exit code 0: all passed. Writes to the output folder:
#
#     NAME.json         commit, device, driver, clocks, the parts, every row of the benchmarks
#     NAME.md           the same for people
#     logs/             what each part printed
#
# Benchmarks check every stage against a reference before they time it, time by events on the device,
# write 512 MiB before every call so that nothing is found in a cache, and use random operands.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
binaries="" out="" seconds=540 only="" report=acceptance row_seconds=0.6
shapes=1024x256,4096x64,4096x1000,16384x1024,32768x1024,65536x1024

die() { echo "gpu_acceptance: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || die "$1 lacks a value, or is not known; the head of this file lists the options"
  case "$1" in
    --binaries) binaries=$(cd "$2" && pwd) || die "there is no folder $2" ;;
    --out) out=$2 ;;
    --only) only=$2 ;;
    --name) report=$2 ;;
    --seconds) seconds=$2 ;;
    --shapes) shapes=$2 ;;
    --row-seconds) row_seconds=$2 ;;
    *) die "there is no option $1; the head of this file lists them" ;;
  esac
  shift 2
done

if [ -z "$binaries" ]; then
  (cd "$root" && cmake --preset cuda && cmake --build --preset cuda --parallel) || die "the build failed"
  binaries=$root/build/cuda
fi
find_program() { find "$binaries" -name "$1" -type f -perm -u+x | head -n 1; }
widedeq=$(find_program widedeq)
[ -n "$widedeq" ] || die "there is no widedeq in $binaries"
export LD_LIBRARY_PATH="$binaries:$binaries/lib:/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# --- The machine ---------------------------------------------------------------------------------

# CUDA's first device is nvidia-smi's in this order; what the latter says in its distress goes to
# stdout, with an exit code.
export CUDA_DEVICE_ORDER=PCI_BUS_ID
first_device=${CUDA_VISIBLE_DEVICES:-}
first_device=${first_device%%,*}
ask() {
  local said
  said=$(nvidia-smi ${first_device:+--id="$first_device"} --query-gpu="$1" \
    --format=csv,noheader 2>/dev/null) || return 0
  head -n 1 <<<"$said"
}
device=$(ask name)
driver=$(ask driver_version)
clocks=$(ask clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem)
device=${device:-no-gpu}
folder=$(tr -c 'A-Za-z0-9\n' '-' <<<"$device" | tr 'A-Z' 'a-z' | sed 's/^-*//; s/-*$//')
out=${out:-$root/bench/results/$folder}
mkdir -p "$out/logs" || die "cannot write to $out"
out=$(cd "$out" && pwd)
work=$(mktemp -d) || die "cannot make a temporary folder"
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
commit=$("$widedeq" --version 2>/dev/null | head -n 1)

# --- The parts -----------------------------------------------------------------------------------

start=$SECONDS
names=() results=() took=() running=()

# begin NAME LIMIT COMMAND...   starts a part: it runs for at most LIMIT seconds, or what is left of
# all, while others do. end_parts waits for what has been started.
begin() {
  local name=$1 limit=$2
  shift 2
  [[ $name =~ $only ]] || return 0
  local left=$((seconds - (SECONDS - start)))
  [ "$left" -lt "$limit" ] && limit=$left
  rm -f "$out/logs/$name.log"
  (
    begun=$SECONDS
    if [ "$left" -lt 5 ]; then
      echo "not run: no time left" >"$work/result-$name"
    else
      echo "== $name (at most $limit s)"
      timeout --kill-after=20 "$limit" "$@" >"$out/logs/$name.log" 2>&1 &
      trap "kill $!" TERM
      wait $!
      code=$?
      case $code in
        0) echo passed ;;
        124 | 137) echo "FAILED: not done in $limit s" ;;
        *) echo "FAILED: exit code $code" ;;
      esac >"$work/result-$name"
    fi
    echo $((SECONDS - begun)) >"$work/took-$name"
  ) &
  running+=("$name")
}
end_parts() {
  wait
  local name result
  for name in ${running[@]+"${running[@]}"}; do
    result=$(cat "$work/result-$name" 2>/dev/null || echo "FAILED: nobody knows how")
    case $result in FAILED*) tail -n 5 "$out/logs/$name.log" ;; esac
    names+=("$name") results+=("$result") took+=("$(cat "$work/took-$name" 2>/dev/null || echo 0)")
  done
  running=()
}
part() {
  begin "$@"
  end_parts
}

# From here on tests are on the GPU, and no GPU is a failure.
on_gpu() { export WIDEDEQ_TEST_BACKEND=cuda WIDEDEQ_REQUIRE_GPU=1 OMP_NUM_THREADS=1; }

# suite PROGRAM SUITE   one test suite in a process of its own, so that a kernel that breaks the
# device for its process costs no other suite. (In the foreground, or it would live on when the
# part's own limit is reached.)
suite() {
  local log=$work/suite-${1##*/}-${2//\//_} code=0
  timeout --foreground --kill-after=5 80 "$1" --gtest_brief=1 \
    --gtest_filter="$2.*-*Slow*:$not_here" >"$log" 2>&1 || code=$?
  echo "$2: exit code $code"
  [ $code = 0 ] && return 0
  cat "$log"
  return 1
}
# suites PROGRAM   all of them, as many at a time as there are cores, up to eight
suites() {
  local list code=0 at_once
  at_once=$(nproc)
  list=$("$1" --gtest_list_tests) || { echo "there is no such program: '$1'" && return 1; }
  list=$(grep -oE '^[A-Za-z0-9_/]+[.]( |$)' <<<"$list" | sed 's/[.].*//')
  [ -n "$list" ] || { echo "$1 has no tests" && return 1; }
  on_gpu
  xargs -P $((at_once < 8 ? at_once : 8)) -I '{}' bash -c 'suite "$@"' - "$1" '{}' <<<"$list" || code=1
  echo "$(wc -l <<<"$list") suites, exit code $code"
  return $code
}
# Left out on a GPU: networks of width 30 that are solved ten thousand times, which takes a GPU
# minutes; and plots where there is nothing to draw them with.
not_here='GradientFlow.*'
command -v gnuplot >/dev/null || not_here+=':FigureTest.Gnuplot*:ReportTest.*'
export -f on_gpu suite suites
export not_here

tests_kernels=$(find_program widedeq_tests_kernels)
tests_host=$(find_program widedeq_tests_host)
# Under a sanitizer everything is slow: one case of each stage, at odd sizes. memcheck goes through
# graphs; the other two do not understand conditional nodes (racecheck ends the program, synccheck
# finds barriers of cuBLAS), so for them the host repeats the sweeps: the same kernels. They look at
# our own kernels alone: with the libraries' racecheck was not done in 75 s.
few='Generators.Lattice*:BareProducts.Multiply*:Products.ApplyIsTheDoubleLoop/*given'
few+=':Products.SettlingTakes*mixed_given:Sweeps.KeepTheInvariant*:Carry.FollowingGoes*'
few+=':Guesses.BehindAMask*:Guesses.SweepsNote*:Carry.FollowingIsTheChange*mixed'
few+=':Gram.*float32_relu_skip'
sanitizer() {
  local tool=(compute-sanitizer --tool "$1" --error-exitcode 9) filter
  if [ "$1" != memcheck ]; then
    export WIDEDEQ_CUDA_LOOP=host
    # The option's name has changed between versions.
    filter=$(compute-sanitizer --help 2>/dev/null |
      grep -o -e '--kernel-name' -e '--kernel-regex' | head -n 1) || true
    [ -z "$filter" ] || tool+=("$filter" kns=widedeq)
  fi
  on_gpu
  "${tool[@]}" "$tests_kernels" --gtest_brief=1 --gtest_filter="$few" &&
    WIDEDEQ_CUDA_SWEEP=fused "${tool[@]}" "$tests_kernels" --gtest_brief=1 \
      --gtest_filter='Sweeps.KeepTheInvariant*mixed*:Guesses.SweepsNote*mixed'
}

bench() {  # NAME SHAPES, then options of widedeq bench; leaves NAME.md and NAME.json in $work
  local name=$1 shapes=$2 code=0
  shift 2
  "$widedeq" bench --backend cuda --shapes "$shapes" --cold --json "$work/$name.json" "$@" \
    >"$work/$name.md" || code=$?
  cat "$work/$name.md"
  return $code
}
# Trains for three epochs, the last of which audits both solves in double precision, prints the
# residuals and audits, and fails where one is too large: an audit is noted before it is mended.
# What comes after the epochs, writing the weights, may be cut off.
accuracy() {
  local run=$work/run-$1 code=0
  timeout --foreground --signal=KILL "$2" "$widedeq" train --backend cuda --data sphere --samples 1000 \
    --width "$1" --precision mixed --epochs 3 --gram-every 0 --checkpoint-every 0 --out "$run" || code=$?
  grep '"kind":"epoch"' "$run/metrics.jsonl" >"$work/epochs-$1"
  rm -rf "$run"
  grep -o '"\(epoch\|loss\|audit_[a-z]*\|residual_[a-z]*\|seconds\)":[^,}]*' "$work/epochs-$1"
  [ "$code" -eq 0 ] || [ "$code" -eq 137 ] || return "$code"
  grep -q '"audit_forward":[0-9].*"audit_adjoint":[0-9]' "$work/epochs-$1" || return 1
  awk -v most=1.2e-6 '{
    while (match($0, /"(audit|residual)_[a-z]*":[^,}]*/)) {
      value = substr($0, RSTART, RLENGTH)
      sub(/.*:/, "", value)
      if (value == "null" || value + 0 > most) bad = 1
      $0 = substr($0, RSTART + RLENGTH)
    }
  }
  END { exit bad }' "$work/epochs-$1"
}
export -f sanitizer bench accuracy
export widedeq tests_kernels tests_host few work

# Shapes in groups, each with a file of its own: a group that fails or takes too long costs itself.
small="" most="" largest=""
for shape in ${shapes//,/ }; do
  if [ "${shape%x*}" -ge 65536 ]; then
    largest+=${largest:+,}$shape
  else
    most+=${most:+,}$shape
    [ "${shape%x*}" -ge 16384 ] || small+=${small:+,}$shape
  fi
done
benchmarks=()
bench_part() {  # NAME LIMIT SHAPES, then options; no shapes, no part
  [ -n "$3" ] || return 0
  benchmarks+=("$1")
  local name=$1 limit=$2
  shift 2
  part "bench-$name" "$limit" bash -c 'bench "$@"' - "$name" "$@"
}

part info 30 "$widedeq" info
begin tests-kernels 100 bash -c 'suites "$tests_kernels"'
begin tests-host 100 bash -c 'suites "$tests_host"'
for tool in memcheck racecheck synccheck; do
  if command -v compute-sanitizer >/dev/null; then
    begin "$tool" 100 bash -c "sanitizer $tool"
  elif [[ $tool =~ $only ]]; then
    names+=("$tool") results+=("not run: there is no compute-sanitizer here") took+=(0)
  fi
done
end_parts
part accuracy-16384 40 bash -c 'accuracy 16384 30'
part accuracy-65536 60 bash -c 'accuracy 65536 50'
stages=sweep,forward,adjoint,rank_update
bench_part mixed 110 "$most" --precision mixed --max-seconds "$row_seconds" \
  --stages $stages,gram,epoch
bench_part fp32 130 "$most" --precision fp32 --max-seconds "$row_seconds" --stages $stages,epoch
bench_part mixed-largest 60 "$largest" --precision mixed --max-seconds "$row_seconds" \
  --stages $stages,gram,epoch
bench_part fp32-largest 60 "$largest" --precision fp32 --max-seconds "$row_seconds" \
  --stages sweep,rank_update
# The loop by the host, and our own kernel for product and pass, beside the choice above.
export WIDEDEQ_CUDA_LOOP=host
bench_part host-loop 20 "$small" --precision mixed --max-seconds "$row_seconds" --stages forward
unset WIDEDEQ_CUDA_LOOP
export WIDEDEQ_CUDA_SWEEP=fused
bench_part fused 20 "$small" --precision mixed --max-seconds "$row_seconds" --stages sweep
unset WIDEDEQ_CUDA_SWEEP

[ ${#names[@]} -gt 0 ] || die "--only $only matches no part"

# --- The results ---------------------------------------------------------------------------------

text() { sed 's/\\/\\\\/g; s/"/\\"/g' <<<"$1"; }
{
  echo "{"
  echo "  \"program\": \"$(text "$commit")\","
  echo "  \"device\": \"$(text "$device")\", \"driver\": \"$(text "$driver")\","
  echo "  \"clocks\": \"$(text "$clocks")\", \"date\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\","
  echo "  \"parts\": ["
  for i in "${!names[@]}"; do
    comma=$([ "$i" -lt $((${#names[@]} - 1)) ] && echo , || true)
    echo "    {\"name\": \"${names[$i]}\", \"result\": \"${results[$i]}\", \"seconds\": ${took[$i]}}$comma"
  done
  echo "  ],"
  echo "  \"benchmarks\": {"
  first=yes
  for name in "${benchmarks[@]}"; do
    [ -s "$work/$name.json" ] || continue
    [ $first = yes ] || echo ","
    first=no
    echo "\"$name\": $(cat "$work/$name.json")"
  done
  echo "  }"
  echo "}"
} >"$out/$report.json"

parts_table() {
  echo "| part | result | seconds |"
  echo "|---|---|---|"
  for i in "${!names[@]}"; do
    echo "| ${names[$i]} | ${results[$i]} | ${took[$i]} |"
  done
}
{
  echo "# $device"
  echo
  echo "$commit, driver $driver, clocks now and at most (SM, memory): $clocks. $(date -u +%Y-%m-%d)"
  echo
  parts_table
  for name in "${benchmarks[@]}"; do
    [ -s "$work/$name.md" ] || continue
    printf '\n## %s\n\n' "$name"
    cat "$work/$name.md"
  done
  for width in 16384 65536; do
    [[ accuracy-$width =~ $only && -s $out/logs/accuracy-$width.log ]] || continue
    printf '\n## Accuracy at width %s: residuals, and audits in double\n\n```\n' "$width"
    cat "$out/logs/accuracy-$width.log"
    printf '```\n'
  done
} >"$out/$report.md"

echo
sed -n '/^## /,$p' "$out/$report.md"
echo
parts_table
for result in "${results[@]}"; do
  [ "$result" = passed ] || exit 1
done
