// slotkv as another Bazel workspace has it, without this one's .bazelrc and without the network.
#include <string>

#include "gtest/gtest.h"
#include "tests/embedding/callers_folder.h"

namespace slotkv {
namespace {

TEST(BazelTest, BuildsInAnotherWorkspace) {
  CallersFolder folder;
  // What the caller defines first is what slotkv gets.
  folder.Write("WORKSPACE", CallersWorkspace(R"(
local_repository(name = "com_github_cyan4973_xxhash", path = "xxhash")
)"));
  folder.Write("BUILD", R"(
cc_binary(
    name = "caller",
    srcs = ["caller.cc", "whose_xxhash.cc"],
    deps = ["@slotkv//:slotkv"],
)
)");
  folder.Write("caller.cc", kCallersProgram);

  // Its `defines` reach all that is above it: slotkv, and then the caller.
  folder.Write("xxhash/WORKSPACE", "");
  folder.Write("xxhash/BUILD", R"(
cc_library(
    name = "xxhash",
    defines = ["XXHASH_OF_THE_CALLER"],
    visibility = ["//visibility:public"],
)
)");
  folder.Write("whose_xxhash.cc", R"(
#ifndef XXHASH_OF_THE_CALLER
#error slotkv was not built with the xxHash that this workspace defines
#endif
)");

  // --batch: no server that would outlive the test. --nosandbox_debug: Debian's /etc/bazel/bazelrc
  // turns this on, and no error could be found in its output.
  const ChildProcess::Outcome outcome = folder.Run(
      {"bazel", "--batch", "--output_user_root=" + folder.Path("output"), "--noworkspace_rc",
       "--nohome_rc", "run", "--noshow_progress", "--nosandbox_debug", "--jobs=2",
       "--cxxopt=-std=c++17", "//:caller", "--", folder.Path("data")},
      // Bazel behaves otherwise below a test of its own.
      {"--unset=TEST_TMPDIR"});
  EXPECT_EQ(outcome.out, "alice\n");
}

}  // namespace
}  // namespace slotkv
