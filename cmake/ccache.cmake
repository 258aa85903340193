# Compiles through ccache where it is installed.
#
# ccache hashes the text of the flags, and "-march=native" is the same text on every machine. With a
# cache in a home directory that machines share it would hand out objects for another processor
# (illegal instruction). So what `native` means here goes into the hash as well.
if(DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  return()  # somebody has chosen already
endif()
find_program(WIDEDEQ_CCACHE ccache)
mark_as_advanced(WIDEDEQ_CCACHE)
# Without a place for its cache (no writable home) it compiles nothing.
if(WIDEDEQ_CCACHE)
  execute_process(COMMAND ${WIDEDEQ_CCACHE} ${CMAKE_CXX_COMPILER} -x c++ -c /dev/null
                          -o ${PROJECT_BINARY_DIR}/ccache_test.o
                  RESULT_VARIABLE ccache_failed OUTPUT_QUIET ERROR_QUIET)
endif()
if(WIDEDEQ_CCACHE AND NOT ccache_failed)
  set(WIDEDEQ_PROCESSOR_FILE ${PROJECT_BINARY_DIR}/processor.txt)
  set(ask -Q --help=target)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    set(ask -dM -E -x c++ /dev/null)
  endif()
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native ${ask}
                  OUTPUT_FILE ${WIDEDEQ_PROCESSOR_FILE} ERROR_QUIET)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_EXTRAFILES=${WIDEDEQ_PROCESSOR_FILE} ${WIDEDEQ_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${WIDEDEQ_CCACHE})
endif()
