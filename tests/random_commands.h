// Random Redis commands for tests.
#ifndef SLOTKV_TESTS_RANDOM_COMMANDS_H_
#define SLOTKV_TESTS_RANDOM_COMMANDS_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace slotkv {

// Every command that slotkv loads, in every form, on a few thousand keys: plain, with hash tags,
// binary. A third of them hold strings, a third hashes, and a third now the one, now the other.
// Times to live are at least twenty minutes or, if wanted, under a fifth of a second.
class RandomCommands {
 public:
  RandomCommands(uint64_t seed, bool short_ttls);

  // The name comes first. Some are refused by Redis, such as INCR of a text, but no reads.
  std::vector<std::string> Next();

 private:
  uint64_t Below(uint64_t bound) { return generator_() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  std::string Bytes(size_t size);
  // Any of them; one that may hold a string; one that may hold a hash.
  std::string Key();
  std::string StringKey();
  std::string HashKey();
  std::string Value();
  std::string Integer();
  std::string FieldName();
  // A time to live or a point in time; may be in the past if short ones are wanted.
  std::string Time(bool milliseconds, bool absolute);

  std::vector<std::string> Set();
  std::vector<std::string> SetWithTtl();
  std::vector<std::string> Expire();
  std::vector<std::string> GetEx();
  std::vector<std::string> Increment();
  std::vector<std::string> SetRange();
  std::vector<std::string> SetMany();
  std::vector<std::string> Delete();
  std::vector<std::string> OneKey();
  std::vector<std::string> HashSet();
  std::vector<std::string> HashDelete();
  std::vector<std::string> Read();

  std::mt19937_64 generator_;
  const bool short_ttls_;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_RANDOM_COMMANDS_H_
