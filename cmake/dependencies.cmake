# Finds the libraries that widedeq uses, as imported targets. Nothing is downloaded.
#
# All that is missing is collected in WIDEDEQ_MISSING, one message with what to do, empty if nothing
# is missing; WIDEDEQ_DEPENDENCY_VERSIONS lists "name version" for provenance. Libraries outside the
# system's folders are found through CMAKE_PREFIX_PATH. An installed widedeq includes this same file
# from its package config, so that what it was linked with is looked up in one way only.

if(POLICY CMP0167)
  cmake_policy(SET CMP0167 NEW)  # Boost's own package config, which 1.74 has already
endif()

set(WIDEDEQ_MISSING_LIBRARIES "")
set(WIDEDEQ_MISSING_PACKAGES "")
set(WIDEDEQ_DEPENDENCY_VERSIONS "")

macro(widedeq_report name version target debian)
  if(TARGET ${target})
    list(APPEND WIDEDEQ_DEPENDENCY_VERSIONS "${name} ${version}")
  else()
    list(APPEND WIDEDEQ_MISSING_LIBRARIES "${name}")
    list(APPEND WIDEDEQ_MISSING_PACKAGES "${debian}")
  endif()
endmacro()

# A library that ships a CMake package.
macro(widedeq_package name target debian)
  find_package(${name} QUIET)
  widedeq_report(${name} "${${name}_VERSION}${${name}_VERSION_STRING}" ${target} "${debian}")
endmacro()

# A library without one, or with one that asks for things we do not need.
#   HEADER   a header to look for; its folder becomes the include folder
#   LIBRARY  names of the library, in order of preference; none: headers only
#   FOLDERS  subfolders of lib/ and include/ to look into first
#   VERSION  a header and the macros that together hold the version
function(widedeq_library name target debian)
  cmake_parse_arguments(ARG "" "HEADER" "LIBRARY;FOLDERS;VERSION" ${ARGN})
  find_path(WIDEDEQ_${name}_INCLUDE ${ARG_HEADER} PATH_SUFFIXES ${ARG_FOLDERS})
  mark_as_advanced(WIDEDEQ_${name}_INCLUDE)
  if(ARG_LIBRARY)
    find_library(WIDEDEQ_${name}_LIBRARY NAMES ${ARG_LIBRARY} PATH_SUFFIXES ${ARG_FOLDERS})
    mark_as_advanced(WIDEDEQ_${name}_LIBRARY)
  endif()

  if(NOT TARGET ${target} AND WIDEDEQ_${name}_INCLUDE
     AND (WIDEDEQ_${name}_LIBRARY OR NOT ARG_LIBRARY))
    if(ARG_LIBRARY)
      add_library(${target} UNKNOWN IMPORTED)
      set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${WIDEDEQ_${name}_LIBRARY})
    else()
      add_library(${target} INTERFACE IMPORTED)
    endif()
    target_include_directories(${target} INTERFACE ${WIDEDEQ_${name}_INCLUDE})
  endif()

  # The macros' numbers, joined by dots: "2", "6", "3" or " OpenBLAS 0.3.21 " alike.
  set(version "")
  list(POP_FRONT ARG_VERSION version_header)
  if(version_header AND EXISTS ${WIDEDEQ_${name}_INCLUDE}/${version_header})
    foreach(macro IN LISTS ARG_VERSION)
      file(STRINGS ${WIDEDEQ_${name}_INCLUDE}/${version_header} line LIMIT_COUNT 1
           REGEX "#[ ]*define[ ]+${macro}[ ]")
      string(REGEX MATCH "[0-9]+(\\.[0-9]+)*[^0-9A-Za-z]*$" number "${line}")
      string(REGEX MATCH "[0-9.]+" number "${number}")
      list(APPEND version ${number})
    endforeach()
    list(JOIN version "." version)
  endif()
  widedeq_report(${name} "${version}" ${target} "${debian}")
  foreach(list MISSING_LIBRARIES MISSING_PACKAGES DEPENDENCY_VERSIONS)
    set(WIDEDEQ_${list} "${WIDEDEQ_${list}}" PARENT_SCOPE)
  endforeach()
endfunction()

# --- The libraries ------------------------------------------------------------------------------

find_package(OpenMP QUIET COMPONENTS CXX)
set(WIDEDEQ_OPENMP_PACKAGE g++)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  set(WIDEDEQ_OPENMP_PACKAGE libomp-dev)
endif()
widedeq_report(OpenMP "${OpenMP_CXX_VERSION}" OpenMP::OpenMP_CXX ${WIDEDEQ_OPENMP_PACKAGE})

# Debian installs three OpenBLAS side by side: by threads, by OpenMP, serial. See the check below.
widedeq_library(OpenBLAS OpenBLAS::OpenBLAS libopenblas-openmp-dev
    HEADER cblas.h LIBRARY openblaso openblas_openmp openblas FOLDERS openblas-openmp openblas
    VERSION openblas_config.h OPENBLAS_VERSION)

# oneDNN's CMake package in Debian wants OpenCL, which the CPU code does not use.
widedeq_library(oneDNN oneDNN::oneDNN libdnnl-dev
    HEADER oneapi/dnnl/dnnl.hpp LIBRARY dnnl
    VERSION oneapi/dnnl/dnnl_version.h DNNL_VERSION_MAJOR DNNL_VERSION_MINOR DNNL_VERSION_PATCH)

# Where OpenBLAS is built with LAPACKE inside (not in Debian), that one serves: another's LAPACK may
# bring a second BLAS along.
set(lapacke lapacke)
if(WIDEDEQ_OpenBLAS_LIBRARY)
  include(CheckLibraryExists)
  check_library_exists(${WIDEDEQ_OpenBLAS_LIBRARY} LAPACKE_dsyevd "" WIDEDEQ_OPENBLAS_HAS_LAPACKE)
  if(WIDEDEQ_OPENBLAS_HAS_LAPACKE)
    set(lapacke openblaso openblas_openmp openblas)
  endif()
endif()
widedeq_library(LAPACKE LAPACKE::LAPACKE liblapacke-dev
    HEADER lapacke.h LIBRARY ${lapacke} FOLDERS openblas-openmp openblas)

widedeq_library(Random123 Random123::Random123 librandom123-dev HEADER Random123/philox.h)

widedeq_library(xxHash xxHash::xxHash libxxhash-dev
    HEADER xxhash.h LIBRARY xxhash
    VERSION xxhash.h XXH_VERSION_MAJOR XXH_VERSION_MINOR XXH_VERSION_RELEASE)

# libzip's CMake package in Debian wants its command-line tools, which are in other packages.
widedeq_library(libzip libzip::zip libzip-dev
    HEADER zip.h LIBRARY zip VERSION zipconf.h LIBZIP_VERSION)

# Headers only: odeint integrates the gradient flow, math knows the distributions of statistics.
find_package(Boost 1.74 QUIET)
widedeq_report(Boost "${Boost_VERSION_STRING}" Boost::headers libboost-dev)

widedeq_package(ZLIB ZLIB::ZLIB zlib1g-dev)
widedeq_package(fmt fmt::fmt libfmt-dev)
widedeq_package(spdlog spdlog::spdlog libspdlog-dev)
widedeq_package(nlohmann_json nlohmann_json::nlohmann_json nlohmann-json3-dev)
widedeq_package(tomlplusplus tomlplusplus::tomlplusplus libtomlplusplus-dev)

if(PROJECT_NAME STREQUAL "widedeq")  # not for those who only use the installed library
  widedeq_package(CLI11 CLI11::CLI11 libcli11-dev)
endif()
if(WIDEDEQ_BUILD_TESTS)
  widedeq_package(GTest GTest::gtest_main "libgtest-dev;libgmock-dev")
  widedeq_package(rapidcheck rapidcheck_gtest librapidcheck-dev)
  # Threads of kernels are fibers of it where there is no GPU (tests/cuda_on_host).
  find_package(Boost 1.74 QUIET COMPONENTS context)
  widedeq_report(Boost.Context "${Boost_VERSION_STRING}" Boost::context libboost-context-dev)
endif()

# --- What to say when something is missing -------------------------------------------------------

set(WIDEDEQ_MISSING "")
if(WIDEDEQ_MISSING_LIBRARIES)
  list(JOIN WIDEDEQ_MISSING_LIBRARIES ", " libraries)
  list(JOIN WIDEDEQ_MISSING_PACKAGES " " packages)
  set(WIDEDEQ_MISSING "\
widedeq needs libraries that were not found: ${libraries}
On Debian and Ubuntu, as root:
    apt-get install --no-install-recommends ${packages}
Elsewhere: install them, then configure again with their prefixes, for instance
    -DCMAKE_PREFIX_PATH=\"/opt/openblas;/opt/onednn\"")
endif()

# oneDNN and our own loops run on OpenMP threads. An OpenBLAS with its own threads is correct, but
# its pool and OpenMP's would compete for the cores.
if(NOT WIDEDEQ_MISSING AND PROJECT_NAME STREQUAL "widedeq" AND NOT CMAKE_CROSSCOMPILING)
  include(CheckCXXSourceRuns)
  set(CMAKE_REQUIRED_LIBRARIES OpenBLAS::OpenBLAS)
  check_cxx_source_runs(
      "#include <cblas.h>\nint main() { return openblas_get_parallel() != 2; }"
      WIDEDEQ_OPENBLAS_HAS_OPENMP)
  unset(CMAKE_REQUIRED_LIBRARIES)
  if(NOT WIDEDEQ_OPENBLAS_HAS_OPENMP)
    message(WARNING "${WIDEDEQ_OpenBLAS_LIBRARY} is not built with OpenMP: it is serial, or has "
                    "threads of its own beside OpenMP's, and will be slow. Prefer an OpenBLAS built with USE_OPENMP=1 (Debian: "
                    "libopenblas-openmp-dev).")
  endif()
endif()
