// What //tools:install makes, as programs built with pkg-config or CMake have it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "slotkv/version.h"
#include "tests/child_process.h"
#include "tests/embedding/callers_folder.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Outcome = ChildProcess::Outcome;

class InstalledCopyTest : public testing::Test {
 protected:
  // Bazel gives paths below the directory that the test starts in.
  static std::string Installer() {
    return std::filesystem::absolute(std::getenv("SLOTKV_INSTALL"));
  }

  void Install(const std::string& prefix) {
    // As `bazel run` starts it: in some other directory.
    folder_.Run({"env", "--chdir=/", Installer(), prefix},
                {"BUILD_WORKING_DIRECTORY=" + folder_.path()});
  }

  // A copy that was moved after its installation, to folder_/moved.
  void InstallAndMove() {
    Install("first/prefix");
    std::filesystem::rename(folder_.Path("first/prefix"), folder_.Path("moved"));
    std::filesystem::remove_all(folder_.Path("first"));
  }

  Outcome Shell(const std::string& command) {
    return folder_.Run({"sh", "-euc", command},
                       {"PKG_CONFIG_PATH=" + folder_.Path("moved/lib/pkgconfig")});
  }

  CallersFolder folder_;
};

TEST_F(InstalledCopyTest, PkgConfig) {
  InstallAndMove();
  folder_.Write("caller.cc", kCallersProgram);
  EXPECT_EQ(Shell("pkg-config --modversion slotkv").out, std::string(kVersion) + "\n");
  Shell("g++ -std=c++17 -c caller.cc $(pkg-config --cflags slotkv)");
  // The only library is a static one, so both ways must do.
  Shell("g++ caller.o $(pkg-config --libs slotkv) -o caller");
  Shell("g++ caller.o $(pkg-config --libs --static slotkv) -o caller-static");
  EXPECT_EQ(Shell("./caller data").out, "alice\n");
  EXPECT_EQ(Shell("./caller-static data-static").out, "alice\n");
}

TEST_F(InstalledCopyTest, CMake) {
  InstallAndMove();
  folder_.Write("caller.cc", kCallersProgram);
  // The program's default standard is older, and a shared library needs position-independent code.
  folder_.Write("CMakeLists.txt", R"(
cmake_minimum_required(VERSION 3.16)
project(caller CXX)
find_package(slotkv 99 QUIET)
if(slotkv_FOUND)
  message(FATAL_ERROR "version 99 was found")
endif()
find_package(slotkv )" + std::string(kVersion) +
                                      R"( REQUIRED)
set(CMAKE_CXX_STANDARD 14)
add_executable(caller caller.cc)
target_link_libraries(caller slotkv::slotkv)
add_library(shared SHARED caller.cc)
target_link_libraries(shared PRIVATE slotkv::slotkv -Wl,--no-undefined)
)");
  Shell("cmake -S . -B build -DCMAKE_PREFIX_PATH=\"$PWD/moved\"");
  Shell("cmake --build build");
  EXPECT_EQ(Shell("build/caller data").out, "alice\n");
}

TEST_F(InstalledCopyTest, EveryHeaderStandsAlone) {
  InstallAndMove();
  std::vector<std::string> headers;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder_.Path("moved/include"))) {
    if (!entry.is_directory()) {
      headers.push_back(entry.path().lexically_relative(folder_.Path("moved/include")));
    }
  }
  EXPECT_THAT(headers, Each(StartsWith("slotkv/")));
  EXPECT_THAT(headers, Contains("slotkv/cluster.h"));
  for (const std::string& header : headers) {
    folder_.Write("caller.cc", "#include \"" + header + "\"\n");
    Shell("g++ -std=c++17 -fsyntax-only caller.cc $(pkg-config --cflags slotkv)");
  }
}

TEST_F(InstalledCopyTest, InstallsOverAnEarlierCopy) {
  Install("prefix");
  const std::string manifest = folder_.Path("prefix/share/slotkv/manifest");
  const std::string before = BytesOf(manifest);
  EXPECT_THAT(before, HasSubstr("\nlib/libslotkv.a\n"));
  SetFileBytes(manifest, before + "include/slotkv/old.h\n");
  folder_.Write("prefix/include/slotkv/old.h", "of an earlier version");
  folder_.Write("prefix/include/slotkv/cluster.h", "of an earlier version");
  folder_.Write("prefix/include/other.h", "of another library");

  Install("prefix");
  EXPECT_EQ(BytesOf(manifest), before);
  EXPECT_FALSE(std::filesystem::exists(folder_.Path("prefix/include/slotkv/old.h")));
  EXPECT_THAT(BytesOf(folder_.Path("prefix/include/slotkv/cluster.h")), HasSubstr("class Cluster"));
  EXPECT_EQ(BytesOf(folder_.Path("prefix/include/other.h")), "of another library");
  // Nothing else is there than what the manifest names.
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.Path("prefix"))) {
    files += entry.is_directory() ? 0 : 1;
  }
  EXPECT_EQ(files, std::count(before.begin(), before.end(), '\n') + 2);
}

TEST_F(InstalledCopyTest, SaysWhatIsWrong) {
  const auto expect_usage = [this](std::vector<std::string> command) {
    const Outcome outcome = folder_.TryToRun(std::move(command));
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, StartsWith("usage: "));
  };
  expect_usage({Installer()});
  expect_usage({Installer(), ""});
  expect_usage({Installer(), "--prefix=here"});
  expect_usage({Installer(), "here", "there"});

  folder_.Write("file", "");
  const Outcome outcome = folder_.TryToRun({Installer(), "file"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("install: cannot create " + folder_.Path("file")));
}

}  // namespace
}  // namespace slotkv
