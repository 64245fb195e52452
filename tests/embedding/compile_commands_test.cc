// //tools:compile_commands, in a workspace that depends on slotkv.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "tests/embedding/callers_folder.h"

namespace slotkv {
namespace {

// Prints the files and compiles each as its entry says.
constexpr char kCheck[] = R"(
import json, subprocess
for entry in json.load(open("compile_commands.json")):
    print(entry["file"])
    subprocess.run(entry["arguments"] + ["-fsyntax-only"], cwd=entry["directory"], check=True)
)";

TEST(CompileCommandsTest, EveryFileCompilesAsWritten) {
  CallersFolder folder;
  folder.Write("WORKSPACE", CallersWorkspace(R"(
local_repository(name = "neighbour", path = "neighbour")
)"));
  // Without the links to its outputs that Bazel leaves in a workspace: entries must not need them.
  folder.Write(".bazelrc", "startup --output_user_root=" + folder.Path("output") + R"(
startup --max_idle_secs=30
build --symlink_prefix=/
build --cxxopt=-std=c++17 --nosandbox_debug
)");
  folder.Write(".bazelignore", "neighbour\noutput\n");
  folder.Write("BUILD", R"(
cc_binary(
    name = "caller",
    srcs = ["caller.cc"],
    deps = ["//library", "@neighbour//:neighbour", "@slotkv//:slotkv"],
)
)");
  folder.Write("caller.cc", std::string(kCallersProgram) +
                                "#include \"caller/library.h\"\n#include \"neighbour.h\"\n");
  folder.Write("neighbour/WORKSPACE", "");
  folder.Write("neighbour/BUILD", R"(
cc_library(name = "neighbour", hdrs = ["neighbour.h"], visibility = ["//visibility:public"])
)");
  folder.Write("neighbour/neighbour.h", "");
  // Compiled twice, for two programs; its header has a path that only Bazel's links give it.
  folder.Write("library/BUILD", R"(
cc_library(
    name = "library",
    srcs = ["library.cc"],
    hdrs = ["library.h"],
    include_prefix = "caller",
    strip_include_prefix = "/library",
    visibility = ["//visibility:public"],
)
cc_binary(name = "other", srcs = ["library.cc", "library.h"], deps = [":library"], linkshared = True)
)");
  folder.Write("library/library.h", "");
  folder.Write("library/library.cc", "#include \"caller/library.h\"\n");

  const std::string tool = std::filesystem::absolute(std::getenv("SLOTKV_COMPILE_COMMANDS"));
  folder.Run({tool}, {"--unset=TEST_TMPDIR", "BUILD_WORKSPACE_DIRECTORY=" + folder.path()});
  EXPECT_EQ(folder.Run({"python3", "-c", kCheck}).out, "caller.cc\nlibrary/library.cc\n");
  folder.Run({"bazel", "shutdown"}, {"--unset=TEST_TMPDIR"});
}

}  // namespace
}  // namespace slotkv
