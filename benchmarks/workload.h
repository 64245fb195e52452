// The data that all benchmarks work on: session keys in random order, and values that compress
// about as badly as sessions do.
#ifndef SLOTKV_BENCHMARKS_WORKLOAD_H_
#define SLOTKV_BENCHMARKS_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace slotkv {

inline constexpr size_t kValueBytes = 200;

// `length` bytes: "session:" and random letters and digits (26^k and more: no two alike).
inline std::string RandomSessionKey(std::mt19937_64* random, size_t length) {
  static constexpr std::string_view kAlphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  std::string key = "session:";
  while (key.size() < length) key += kAlphabet[(*random)() % kAlphabet.size()];
  return key;
}

// The same keys in every process, in one random order.
inline std::vector<std::string> SessionKeys(size_t count, size_t length = 24) {
  std::mt19937_64 random(count);
  std::vector<std::string> keys;
  keys.reserve(count);
  for (size_t i = 0; i < count; ++i) keys.push_back(RandomSessionKey(&random, length));
  return keys;
}

// Half random, half text.
inline std::string SessionValue(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string value;
  while (value.size() < kValueBytes / 2) value += static_cast<char>(random());
  while (value.size() < kValueBytes) value += "\"user\":\"alice\",";
  value.resize(kValueBytes);
  return value;
}

// A directory for one run, below TEST_TMPDIR or /tmp; gone when the object is.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace slotkv

#endif  // SLOTKV_BENCHMARKS_WORKLOAD_H_
