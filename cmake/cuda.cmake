# Whether the CUDA backend is built, and how its sources are compiled.
#
#   WIDEDEQ_CUDA=auto  where the compiler of a toolkit that is new enough is found
#   WIDEDEQ_CUDA=on    or the configuration fails
#   WIDEDEQ_CUDA=off   not
#
# Sets WIDEDEQ_HAVE_CUDA. A toolkit that is not in the PATH: -DCMAKE_CUDA_COMPILER=/path/to/nvcc.

set(WIDEDEQ_CUDA auto CACHE STRING "CUDA backend: auto (where nvcc is found), on, off")
set_property(CACHE WIDEDEQ_CUDA PROPERTY STRINGS auto on off)
string(TOLOWER "${WIDEDEQ_CUDA}" wanted)  # -DWIDEDEQ_CUDA=OFF is what many will write
if(NOT wanted MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "WIDEDEQ_CUDA is \"${WIDEDEQ_CUDA}\"; it can be auto, on or off.")
endif()

# From 13.0 on cudaGraphAddNode and cudaStreamGetCaptureInfo are told of edges (loop.cu).
set(WIDEDEQ_CUDA_LEAST 13.0)
# Machine code for Ampere and its successors up to Ada, and for Hopper with all it has; for newer
# devices the driver compiles the rest, PTX. Kernels of several architectures lie side by side.
set(architectures ${CMAKE_CUDA_ARCHITECTURES})
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  string(REPLACE "," ";" architectures "$ENV{CUDAARCHS}")
endif()
# What another project has chosen for itself, CMake's default (75) among it, may be too old.
foreach(architecture IN LISTS architectures)
  if(architecture MATCHES "^all" OR (architecture MATCHES "^([0-9]+)" AND CMAKE_MATCH_1 LESS 80))
    message(STATUS "CUDA backend: needs compute capability 8.0; not built for ${architectures}")
    set(architectures "")
    break()
  endif()
endforeach()
if(NOT architectures)
  set(architectures 80-real 90a-real 90-virtual)
endif()
set(CMAKE_CUDA_ARCHITECTURES ${architectures})

set(WIDEDEQ_HAVE_CUDA OFF)
set(WIDEDEQ_WHY_NO_CUDA "")
if(wanted STREQUAL "off")
  set(WIDEDEQ_WHY_NO_CUDA "WIDEDEQ_CUDA is off")
else()
  include(CheckLanguage)
  find_program(WIDEDEQ_NVCC nvcc PATHS /usr/local/cuda/bin)
  mark_as_advanced(WIDEDEQ_NVCC)
  # The one that was asked for, or else the first that is new enough: a system's own, older one
  # may hide NVIDIA's. (That fails at CMake's own test of a compiler, and takes the configuration
  # with it.)
  set(candidates ${WIDEDEQ_NVCC})
  if(EXISTS /usr/local/cuda/bin/nvcc)
    list(APPEND candidates /usr/local/cuda/bin/nvcc)
  endif()
  foreach(given "$ENV{CUDACXX}" "${CMAKE_CUDA_COMPILER}")
    if(given)
      set(candidates ${given})
    endif()
  endforeach()
  set(nvcc "")
  set(nvcc_version "")
  foreach(candidate IN LISTS candidates)
    set(nvcc_says "")
    execute_process(COMMAND ${candidate} --version OUTPUT_VARIABLE nvcc_says ERROR_QUIET)
    set(version "")
    if(nvcc_says MATCHES "release ([0-9.]+)")
      set(version ${CMAKE_MATCH_1})
    endif()
    if(candidate AND (NOT nvcc OR NOT version VERSION_LESS WIDEDEQ_CUDA_LEAST))
      set(nvcc ${candidate})
      set(nvcc_version "${version}")
    endif()
    if(nvcc_version AND NOT nvcc_version VERSION_LESS WIDEDEQ_CUDA_LEAST)
      break()
    endif()
  endforeach()
  if(NOT nvcc)
    set(WIDEDEQ_WHY_NO_CUDA "no CUDA compiler was found")
  elseif(nvcc_version STREQUAL "")
    set(WIDEDEQ_WHY_NO_CUDA "${nvcc} does not tell its version")
  elseif(nvcc_version VERSION_LESS WIDEDEQ_CUDA_LEAST)
    set(WIDEDEQ_WHY_NO_CUDA "CUDA ${nvcc_version} is older than ${WIDEDEQ_CUDA_LEAST}")
  else()
    set(ENV{CUDACXX} ${nvcc})
    # nvcc would take the first g++ of the PATH, which may be another one, and too old.
    if(NOT CMAKE_CUDA_HOST_COMPILER AND "$ENV{CUDAHOSTCXX}" STREQUAL ""
       AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      set(ENV{CUDAHOSTCXX} ${CMAKE_CXX_COMPILER})
    endif()
    check_language(CUDA)  # in a project of its own
    if(NOT CMAKE_CUDA_COMPILER)
      set(WIDEDEQ_WHY_NO_CUDA "${nvcc} compiles nothing here; it may not know this C++ compiler")
    endif()
  endif()
  if(WIDEDEQ_WHY_NO_CUDA STREQUAL "")
    enable_language(CUDA)
    find_package(CUDAToolkit QUIET)
    if(NOT TARGET CUDA::cublasLt OR NOT TARGET CUDA::cusolver OR NOT TARGET CUDA::nvtx3)
      set(WIDEDEQ_WHY_NO_CUDA "the CUDA Toolkit lacks cuBLAS, cuSOLVER or NVTX")
    else()
      set(WIDEDEQ_HAVE_CUDA ON)
    endif()
  endif()
endif()

if(WIDEDEQ_HAVE_CUDA)
  message(STATUS "CUDA backend: yes, CUDA ${CMAKE_CUDA_COMPILER_VERSION} for "
                 "${CMAKE_CUDA_ARCHITECTURES}")
  # Where programs find the module.
  list(APPEND CMAKE_BUILD_RPATH ${PROJECT_BINARY_DIR})
  file(RELATIVE_PATH from_programs ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  list(APPEND CMAKE_INSTALL_RPATH "$ORIGIN/${from_programs}")
elseif(wanted STREQUAL "on")
  message(FATAL_ERROR "WIDEDEQ_CUDA=on: ${WIDEDEQ_WHY_NO_CUDA}. Install the CUDA Toolkit "
                      "${WIDEDEQ_CUDA_LEAST} or newer, or say where it is with "
                      "-DCMAKE_CUDA_COMPILER=/path/to/nvcc, or leave WIDEDEQ_CUDA at auto.")
else()
  message(STATUS "CUDA backend: no (${WIDEDEQ_WHY_NO_CUDA})")
endif()

# A module of CUDA and C++ sources, to be opened at run time, compiled as the rest of the project is.
#
# ptxas fails on a kernel that spills registers to memory (-warn-spills, made an error): none should,
# and one that begins to is slower without anybody noticing. Not of a later toolkit than is known
# here: a user's build is not to fail for what another compiler sees or spills.
function(widedeq_cuda_module target)  # then the sources
  add_library(${target} MODULE ${ARGN})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES
      CXX_EXTENSIONS OFF CUDA_EXTENSIONS OFF CUDA_RUNTIME_LIBRARY Static
      LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  # It has copies of what it shares with the program, and they are its own.
  target_link_options(${target} PRIVATE LINKER:-Bsymbolic)
  # CMake 3.25 does not know that nvcc 13 knows C++20; and nvcc writes C++ that -Wpedantic and
  # -Wold-style-cast would complain of.
  set(nvcc_options -std=c++20 --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra,-Wconversion)
  if(WIDEDEQ_WARNINGS_AS_ERRORS AND CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13.1)
    list(APPEND nvcc_options --Werror=all-warnings -Xptxas=-warn-spills)
  endif()
  target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:${WIDEDEQ_WARNINGS}>"
      "$<$<COMPILE_LANGUAGE:CUDA>:${nvcc_options}>")
endfunction()
