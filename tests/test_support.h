// What tests share: temporary directories, seeds that can be given, and processes that are killed.
#ifndef SLOTKV_TESTS_TEST_SUPPORT_H_
#define SLOTKV_TESTS_TEST_SUPPORT_H_

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {

// A directory that is there as long as the object is.
class TemporaryDirectory {
 public:
  // `in_memory`: where syncs cost nothing, if the machine has such a place with room to spare.
  explicit TemporaryDirectory(bool in_memory = false) {
    const char* const given = std::getenv("TEST_TMPDIR");
    std::string path = given == nullptr ? "/tmp" : given;
    std::error_code none;
    if (in_memory && access("/dev/shm", W_OK | X_OK) == 0 &&
        std::filesystem::space("/dev/shm", none).available >= uint64_t{2} << 30 && !none) {
      path = "/dev/shm";
    }
    path += "/slotkv-XXXXXX";
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

// The whole file; empty if there is none.
inline std::string BytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return "";
  std::string bytes(static_cast<size_t>(in.tellg()), '\0');
  in.seekg(0);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

// Makes the file hold just these bytes, behind the back of everything under test.
inline void SetFileBytes(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) std::abort();
}

// "00ff", for golden bytes.
inline std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

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
