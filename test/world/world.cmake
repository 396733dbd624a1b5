# Part of test/CMakeLists.txt: whole updates in a simulated world, from fast sources of their own.
# SPDX-License-Identifier: Apache-2.0
add_library(world_rig STATIC world/rig.c world/rig_host.c world/example.c unit/image_build.c unit/vectors.c ${core_sources} ${host_sources} ${sim_sources}
                             ${PROJECT_SOURCE_DIR}/host/assert_fail.c)
target_include_directories(world_rig PUBLIC unit ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/host
                           ${PROJECT_SOURCE_DIR}/sim ${PROJECT_SOURCE_DIR}/ports/psa)
target_compile_definitions(world_rig PUBLIC _GNU_SOURCE VERSION="${PROJECT_VERSION}"
                           PRIVATE VECTORS="${CMAKE_CURRENT_SOURCE_DIR}/vectors")
target_compile_options(world_rig PUBLIC -O2 -fno-sanitize=all -UNDEBUG)
target_link_options(world_rig PUBLIC -fno-sanitize=all)
target_link_libraries(world_rig PUBLIC ${MBEDCRYPTO} ZLIB::ZLIB ${CMOCKA})
set_target_properties(world_rig PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
add_executable(bench_update world/bench_update.c)
target_link_libraries(bench_update PRIVATE world_rig)
add_executable(test_bench_update world/test_bench_update.c)
target_compile_definitions(test_bench_update PRIVATE VECTORS="${CMAKE_CURRENT_SOURCE_DIR}/vectors")
target_link_libraries(test_bench_update PRIVATE world_rig)
add_test(NAME unit.bench_update COMMAND test_bench_update)
set_tests_properties(unit.bench_update PROPERTIES TIMEOUT 120 LABELS unit)

# Random worlds. All of them from these, a few under the sanitizers, and with faults planted.
file(GLOB worlds_sources CONFIGURE_DEPENDS world/worlds.c world/story*.c)
add_executable(worlds ${worlds_sources})
target_link_libraries(worlds PRIVATE world_rig)
set_target_properties(worlds PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
add_test(NAME worlds.short COMMAND worlds --workers 1 --traces ${PROJECT_BINARY_DIR} 500)
add_executable(worlds_checked ${worlds_sources} world/rig_host.c)
target_include_directories(worlds_checked PRIVATE unit)
target_link_libraries(worlds_checked PRIVATE unit_helpers)
add_test(NAME worlds.checked COMMAND worlds_checked --workers 1 --traces ${PROJECT_BINARY_DIR} 30)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME worlds.mutants
         COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/world/mutants.py ${CMAKE_C_COMPILER})
set_tests_properties(worlds.short worlds.checked worlds.mutants PROPERTIES TIMEOUT 600 LABELS campaign)
