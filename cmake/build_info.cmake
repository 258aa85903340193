# Writes build_info.hpp in two steps: what is known when configuring, then at every build the commit.
# The second step is one `git describe`; the header keeps its date unless the commit has changed, so
# a build without changes compiles nothing.
#
# Included by CMakeLists.txt for the first step, run by `cmake -P` for the second.

if(CMAKE_SCRIPT_MODE_FILE)  # the second step: TEMPLATE, HEADER and SOURCE_DIR are given by -D
  # Of this folder's repository alone: a tarball may lie inside another one.
  get_filename_component(above ${SOURCE_DIR} DIRECTORY)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env GIT_CEILING_DIRECTORIES=${above}
                          git describe --always --dirty --abbrev=12
                  WORKING_DIRECTORY ${SOURCE_DIR}
                  OUTPUT_VARIABLE WIDEDEQ_GIT_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT WIDEDEQ_GIT_COMMIT)
    set(WIDEDEQ_GIT_COMMIT unknown)
  endif()
  configure_file(${TEMPLATE} ${HEADER} @ONLY)
  return()
endif()

string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
get_target_property(kernel_flags widedeq_kernels COMPILE_OPTIONS)
list(FILTER kernel_flags EXCLUDE REGEX "^-W|^\\$")
list(JOIN kernel_flags " " kernel_flags)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}} ${kernel_flags}" WIDEDEQ_FLAGS)

list(FILTER WIDEDEQ_DEPENDENCY_VERSIONS EXCLUDE REGEX "^(GTest|rapidcheck|Boost.Context) ")
set(WIDEDEQ_DEPENDENCY_LINES "")
foreach(dependency IN LISTS WIDEDEQ_DEPENDENCY_VERSIONS)
  string(REGEX REPLACE "^([^ ]+) (.*)$" "    {\"\\1\", \"\\2\"},\n" line "${dependency}")
  string(APPEND WIDEDEQ_DEPENDENCY_LINES "${line}")
endforeach()

set(WIDEDEQ_GIT_COMMIT "@WIDEDEQ_GIT_COMMIT@")  # stays in place for the second step
set(WIDEDEQ_GENERATED_DIR ${PROJECT_BINARY_DIR}/generated)
configure_file(${CMAKE_CURRENT_LIST_DIR}/build_info.hpp.in
               ${PROJECT_BINARY_DIR}/build_info.hpp.in @ONLY)
add_custom_target(widedeq_build_info
    COMMAND ${CMAKE_COMMAND} -D TEMPLATE=${PROJECT_BINARY_DIR}/build_info.hpp.in
            -D HEADER=${WIDEDEQ_GENERATED_DIR}/build_info.hpp -D SOURCE_DIR=${PROJECT_SOURCE_DIR}
            -P ${CMAKE_CURRENT_LIST_FILE}
    BYPRODUCTS ${WIDEDEQ_GENERATED_DIR}/build_info.hpp
    COMMENT "Looking up the git commit"
    VERBATIM)

# For those who say #include "build_info.hpp".
function(widedeq_use_build_info target)
  target_include_directories(${target} PRIVATE ${WIDEDEQ_GENERATED_DIR})
  add_dependencies(${target} widedeq_build_info)
endfunction()
