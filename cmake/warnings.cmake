# The warnings of this project's own code. Headers of other libraries are system headers: silent.
set(WIDEDEQ_WARNINGS
    -Wall -Wextra -Wpedantic
    # A constructor's argument may be named like the member it sets. Clang knows.
    -Wshadow$<$<CXX_COMPILER_ID:GNU>:=local>
    -Wconversion            # silent loss of digits or of the upper half of an index
    -Wold-style-cast
    -Wnon-virtual-dtor -Woverloaded-virtual
    # GCC 12 sees overlapping memory in "text" + std::string (its bug 105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
    # Another compiler may warn of what nobody here has seen, and a user's build is not to fail.
    $<$<AND:$<BOOL:${WIDEDEQ_WARNINGS_AS_ERRORS}>,$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Werror>)

function(widedeq_warnings target)
  target_compile_options(${target} PRIVATE ${WIDEDEQ_WARNINGS})
endfunction()
