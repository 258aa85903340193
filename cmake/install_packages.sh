#!/usr/bin/env bash
# Installs the Debian packages that widedeq needs and that are missing.
#
#     cmake/install_packages.sh [build|lint|fuzz]     (default: build)
#
# With nothing missing it returns at once, without network and without root.
set -euo pipefail

build_packages=(
  # tools
  build-essential cmake ninja-build ccache
  # linear algebra. OpenBLAS with OpenMP threads: oneDNN uses OpenMP too, and two thread pools
  # would fight for the same cores.
  libopenblas-openmp-dev libdnnl-dev liblapacke-dev
  # random numbers, command line, configuration, records, logs, files
  librandom123-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libfmt-dev libspdlog-dev
  libxxhash-dev libzip-dev zlib1g-dev
  # differential equations, distributions (headers)
  libboost-dev
  # tests
  libgtest-dev libgmock-dev librapidcheck-dev libboost-context-dev
  # plots
  gnuplot-nox
)
# libomp-dev: clang-tidy reads OpenMP code with clang's own omp.h.
lint_packages=(clang-format clang-tidy libomp-dev)
# libclang-rt-dev: the sanitizers and libFuzzer, of the same version as clang.
fuzz_packages=(clang libclang-rt-dev libomp-dev)

case "${1:-build}" in
  build) wanted=("${build_packages[@]}") ;;
  lint) wanted=("${lint_packages[@]}") ;;
  fuzz) wanted=("${fuzz_packages[@]}") ;;
  *) echo "usage: $0 [build|lint|fuzz]" >&2; exit 2 ;;
esac

give_up() {
  cat >&2 <<MESSAGE
widedeq: $1. As root, install what is missing (Debian's names):
    apt-get install --no-install-recommends ${missing[*]}
If these tools and libraries are here in another form, skip this step: make ... PACKAGES=no
MESSAGE
  exit 1
}

missing=("${wanted[@]}")
command -v dpkg-query >/dev/null || give_up "this system has no Debian package manager"

# dpkg-query fails when it does not know one of the names; what it prints about the rest is right.
installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${wanted[@]}" \
  2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep --quiet --line-regexp --fixed-strings "$package installed" <<<"$installed" ||
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

command -v apt-get >/dev/null || give_up "apt-get is not there"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || give_up "packages are missing, and neither root nor sudo is at hand"
  as_root=(sudo)
fi
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes "$@"
}

echo "widedeq: installing ${missing[*]}"
# One source that is out of order does not mean that these packages cannot be had.
apt_get update || echo "widedeq: apt-get update failed; trying with what is known" >&2
apt_get install --no-install-recommends "${missing[@]}" || give_up "apt-get install failed"
