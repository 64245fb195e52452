"""The libraries slotkv is built on.

Each is the copy that Debian 12 installs, under the labels of its upstream Bazel build, so that
nothing is downloaded. A workspace that brings the real sources defines the repository of that name
before it calls slotkv_dependencies(), and they are used instead.
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load(":debian_source.bzl", "debian_source")
load(":system_library.bzl", "generated_repository", "system_library")

# Inline functions in Abseil's headers call into its internal libraries, so every target gets the
# whole list; --as-needed keeps in a program only those that it uses.
_ABSEIL_LIBRARIES = [
    "bad_any_cast_impl",
    "bad_optional_access",
    "bad_variant_access",
    "base",
    "city",
    "civil_time",
    "cord",
    "cord_internal",
    "cordz_functions",
    "cordz_handle",
    "cordz_info",
    "cordz_sample_token",
    "debugging_internal",
    "demangle_internal",
    "examine_stack",
    "exponential_biased",
    "failure_signal_handler",
    "graphcycles_internal",
    "hash",
    "hashtablez_sampler",
    "int128",
    "leak_check",
    "log_severity",
    "low_level_hash",
    "malloc_internal",
    "periodic_sampler",
    "random_distributions",
    "random_internal_platform",
    "random_internal_pool_urbg",
    "random_internal_randen",
    "random_internal_randen_hwaes",
    "random_internal_randen_hwaes_impl",
    "random_internal_randen_slow",
    "random_internal_seed_material",
    "random_seed_gen_exception",
    "random_seed_sequences",
    "raw_hash_set",
    "raw_logging_internal",
    "spinlock_wait",
    "stacktrace",
    "status",
    "statusor",
    "str_format_internal",
    "strerror",
    "strings",
    "strings_internal",
    "symbolize",
    "synchronization",
    "throw_delegate",
    "time",
    "time_zone",
]

# Upstream target to the header it is used for.
_ABSEIL_TARGETS = {
    "absl/algorithm:algorithm": "algorithm/algorithm.h",
    "absl/algorithm:container": "algorithm/container.h",
    "absl/base:base": "base/call_once.h",
    "absl/base:config": "base/config.h",
    "absl/base:core_headers": "base/thread_annotations.h",
    "absl/base:endian": "base/internal/endian.h",
    "absl/base:log_severity": "base/log_severity.h",
    "absl/cleanup:cleanup": "cleanup/cleanup.h",
    "absl/container:btree": "container/btree_map.h",
    "absl/container:fixed_array": "container/fixed_array.h",
    "absl/container:flat_hash_map": "container/flat_hash_map.h",
    "absl/container:flat_hash_set": "container/flat_hash_set.h",
    "absl/container:inlined_vector": "container/inlined_vector.h",
    "absl/container:node_hash_map": "container/node_hash_map.h",
    "absl/container:node_hash_set": "container/node_hash_set.h",
    "absl/debugging:failure_signal_handler": "debugging/failure_signal_handler.h",
    "absl/debugging:leak_check": "debugging/leak_check.h",
    "absl/debugging:stacktrace": "debugging/stacktrace.h",
    "absl/debugging:symbolize": "debugging/symbolize.h",
    "absl/functional:any_invocable": "functional/any_invocable.h",
    "absl/functional:bind_front": "functional/bind_front.h",
    "absl/functional:function_ref": "functional/function_ref.h",
    "absl/hash:hash": "hash/hash.h",
    "absl/memory:memory": "memory/memory.h",
    "absl/meta:type_traits": "meta/type_traits.h",
    "absl/numeric:bits": "numeric/bits.h",
    "absl/numeric:int128": "numeric/int128.h",
    "absl/random:bit_gen_ref": "random/bit_gen_ref.h",
    "absl/random:distributions": "random/distributions.h",
    "absl/random:random": "random/random.h",
    "absl/random:seed_sequences": "random/seed_sequences.h",
    "absl/status:status": "status/status.h",
    "absl/status:statusor": "status/statusor.h",
    "absl/strings:cord": "strings/cord.h",
    "absl/strings:str_format": "strings/str_format.h",
    "absl/strings:strings": "strings/str_cat.h",
    "absl/synchronization:synchronization": "synchronization/mutex.h",
    "absl/time:time": "time/time.h",
    "absl/types:any": "types/any.h",
    "absl/types:compare": "types/compare.h",
    "absl/types:optional": "types/optional.h",
    "absl/types:span": "types/span.h",
    "absl/types:variant": "types/variant.h",
    "absl/utility:utility": "utility/utility.h",
}

# Debian's rules_cc is too new for Debian's Bazel. The last three are for Bazel's own build files.
_RULES_CC = """\
cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
"""

# Debian's platforms lack the processors that Abseil's build files ask about.
_PLATFORMS_CPU = """\
package(default_visibility = ["//visibility:public"])

constraint_value(
    name = "wasm32",
    constraint_setting = "@platforms//cpu",
)

constraint_value(
    name = "wasm64",
    constraint_setting = "@platforms//cpu",
)
"""

_PLATFORMS_OS = """\
package(default_visibility = ["//visibility:public"])

alias(
    name = "ios",
    actual = "@platforms//os:ios",
)

alias(
    name = "osx",
    actual = "@platforms//os:osx",
)
"""

def _bazel_repositories():
    """What Bazel itself downloads on its first run, unless the workspace defines it."""
    maybe(
        native.local_repository,
        name = "platforms",
        path = "/usr/share/bazel/platforms",
    )
    maybe(
        native.local_repository,
        name = "rules_java",
        path = "/usr/share/bazel/rules/java",
    )
    maybe(
        native.local_repository,
        name = "rules_proto",
        path = "/usr/share/bazel/rules/proto",
    )
    maybe(
        generated_repository,
        name = "rules_cc",
        files = {
            "BUILD.bazel": "",
            "cc/BUILD.bazel": "",
            "cc/defs.bzl": _RULES_CC,
        },
    )

    # Every test depends on it, with coverage or without.
    maybe(
        generated_repository,
        name = "remote_coverage_tools",
        files = {"BUILD.bazel": """\
package(default_visibility = ["//visibility:public"])

filegroup(name = "coverage_report_generator")

filegroup(name = "lcov_merger")
"""},
    )

def _source_repositories():
    """What the tsan and rocksdb_src configurations use; see .bazelrc. Nothing else fetches them."""
    maybe(
        debian_source,
        name = "rocksdb_src",
        build_file = Label("//third_party:rocksdb.BUILD"),
        package = "rocksdb",
        version = "7.8.3-2",
    )
    maybe(
        debian_source,
        name = "com_google_googletest_src",
        package = "googletest",
        version = "1.12.1-0.2",
    )

    # The repositories that its build files load go by names of their own, since the workspace may
    # define the usual ones after this.
    maybe(
        debian_source,
        name = "com_google_absl_src",
        package = "abseil",
        patches = [Label("//third_party:abseil_tsan.patch")],
        repo_mapping = {
            "@bazel_skylib": "@slotkv_bazel_skylib",
            "@platforms": "@slotkv_platforms",
        },
        version = "20220623.1-1+deb12u2",
    )
    maybe(
        native.local_repository,
        name = "slotkv_bazel_skylib",
        path = "/usr/share/bazel/tools/skylib",
    )
    maybe(
        generated_repository,
        name = "slotkv_platforms",
        files = {
            "cpu/BUILD.bazel": _PLATFORMS_CPU,
            "os/BUILD.bazel": _PLATFORMS_OS,
        },
    )

def slotkv_dependencies():
    """Defines each repository that slotkv needs and the workspace has not defined yet."""
    _bazel_repositories()
    _source_repositories()
    maybe(
        system_library,
        name = "com_google_absl",
        debian_package = "libabsl-dev",
        linkopts = ["-Wl,--push-state,--as-needed"] +
                   ["-labsl_" + library for library in _ABSEIL_LIBRARIES] +
                   ["-Wl,--pop-state"],
        source_repository = "com_google_absl_src",
        targets = {
            target: ["absl/" + header]
            for target, header in _ABSEIL_TARGETS.items()
        },
    )
    maybe(
        system_library,
        name = "rocksdb",
        debian_package = "librocksdb-dev",
        # For a program that says what it was measured with.
        defines = ["SLOTKV_ROCKSDB_LIBRARY='\"Debian package librocksdb-dev, asserts on\"'"],
        linkopts = ["-lrocksdb"],
        source_repository = "rocksdb_src",
        targets = {":rocksdb": ["rocksdb/db.h"]},
    )

    # Of no use to a file that defines XXH_INLINE_ALL, hence --as-needed.
    maybe(
        system_library,
        name = "com_github_cyan4973_xxhash",
        debian_package = "libxxhash-dev",
        linkopts = ["-Wl,--push-state,--as-needed,-lxxhash,--pop-state"],
        targets = {":xxhash": ["xxhash.h"]},
    )
    maybe(
        system_library,
        name = "com_google_googletest",
        debian_package = "libgmock-dev",
        linkopts = [
            "-lgmock",
            "-lgtest",
        ],
        source_repository = "com_google_googletest_src",
        target_linkopts = {":gtest_main": ["-lgmock_main"]},
        targets = {
            ":gtest": [
                "gtest/gtest.h",
                "gmock/gmock.h",
            ],
            ":gtest_main": [],
        },
    )
    maybe(
        system_library,
        name = "com_github_google_benchmark",
        debian_package = "libbenchmark-dev",
        linkopts = ["-lbenchmark"],
        target_linkopts = {":benchmark_main": ["-lbenchmark_main"]},
        targets = {
            ":benchmark": ["benchmark/benchmark.h"],
            ":benchmark_main": [],
        },
    )
    maybe(
        system_library,
        name = "cli11",
        debian_package = "libcli11-dev",
        targets = {":cli11": ["CLI/CLI.hpp"]},
    )
    maybe(
        system_library,
        name = "nlohmann_json",
        debian_package = "nlohmann-json3-dev",
        targets = {":json": ["nlohmann/json.hpp"]},
    )
