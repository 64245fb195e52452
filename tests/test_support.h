// What tests share: temporary directories, seeds that can be given, and processes that are killed.
#ifndef SLOTKV_TESTS_TEST_SUPPORT_H_
#define SLOTKV_TESTS_TEST_SUPPORT_H_

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {

// A directory that is there as long as the object is.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* const root = std::getenv("TEST_TMPDIR");
    std::string path = std::string(root == nullptr ? "/tmp" : root) + "/slotkv-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) std::abort();
    path_ = path;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// SLOTKV_TEST_SEED, or a random one; printed, so that a failure can be repeated.
inline uint64_t TestSeed() {
  static const uint64_t seed = [] {
    const char* const given = std::getenv("SLOTKV_TEST_SEED");
    const uint64_t value =
        given != nullptr ? std::strtoull(given, nullptr, 10) : uint64_t{std::random_device{}()};
    std::cout << "SLOTKV_TEST_SEED=" << value << std::endl;
    return value;
  }();
  return seed;
}

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is ok") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

MATCHER_P(HasCode, code, "") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).code() == code;
}

MATCHER_P2(HasError, code, text, "") {
  *result_listener << StatusOf(arg);
  const std::string message(StatusOf(arg).message().data(), StatusOf(arg).message().size());
  return StatusOf(arg).code() == code && message.find(text) != std::string::npos;
}

}  // namespace slotkv

#endif  // SLOTKV_TESTS_TEST_SUPPORT_H_
