# `cmake --install build/release --prefix ...`: the tool, the libraries, their headers, and a package
# config, so that find_package(widedeq) gives widedeq::host and widedeq::kernels.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/widedeq)
set_target_properties(widedeq_kernels PROPERTIES EXPORT_NAME kernels)
set_target_properties(widedeq_host PROPERTIES EXPORT_NAME host)
install(TARGETS widedeq widedeq_kernels widedeq_host EXPORT widedeqTargets)
if(WIDEDEQ_HAVE_CUDA)
  install(TARGETS widedeq_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(EXPORT widedeqTargets NAMESPACE widedeq:: DESTINATION ${package_dir})

install(DIRECTORY ${PROJECT_SOURCE_DIR}/kernels ${PROJECT_SOURCE_DIR}/host
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/widedeq
        FILES_MATCHING PATTERN "*.hpp"
        PATTERN cpu EXCLUDE PATTERN cuda EXCLUDE PATTERN cli EXCLUDE  # behind the interface
        PATTERN digits EXCLUDE)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/widedeqConfig.cmake.in
    ${PROJECT_BINARY_DIR}/widedeqConfig.cmake INSTALL_DESTINATION ${package_dir}
    PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/widedeqConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/widedeqConfig.cmake
              ${PROJECT_BINARY_DIR}/widedeqConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake
        DESTINATION ${package_dir})
