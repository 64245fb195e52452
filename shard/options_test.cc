#include "slotkv/options.h"

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

absl::Status ValidateWith(const std::function<void(Options*)>& change) {
  Options options;
  change(&options);
  return ValidateOptions(options);
}

struct WrongOption {
  const char* text;  // in the error
  std::function<void(Options*)> set;
};

TEST(OptionsTest, DefaultsAreValid) { EXPECT_THAT(ValidateOptions(Options()), IsOk()); }

TEST(OptionsTest, NamesEachWrongField) {
  const WrongOption kWrong[] = {
      {"Options.shards is 0", [](Options* o) { o->shards = 0; }},
      {"Options.shards is -1", [](Options* o) { o->shards = -1; }},
      {"Options.shards is 1025", [](Options* o) { o->shards = 1025; }},
      {"Options.replicas_per_shard is -1", [](Options* o) { o->replicas_per_shard = -1; }},
      {"Options.replicas_per_shard is 64", [](Options* o) { o->replicas_per_shard = 64; }},
      {"Options.node_timeout is 0", [](Options* o) { o->node_timeout = absl::ZeroDuration(); }},
      {"Options.fsync is 7", [](Options* o) { o->fsync = static_cast<Fsync>(7); }},
      {"Options.log_io is 7", [](Options* o) { o->log_io = static_cast<LogIo>(7); }},
      {"Options.default_ttl is 0", [](Options* o) { o->default_ttl = absl::ZeroDuration(); }},
      {"Options.default_ttl is -inf",
       [](Options* o) { o->default_ttl = -absl::InfiniteDuration(); }},
      {"Options.memory_bytes is 0", [](Options* o) { o->memory_bytes = 0; }},
      {"Options.memory_bytes is 16777215",
       [](Options* o) { o->memory_bytes = (size_t{16} << 20) - 1; }},
      {"Options.operation_timeout is 0", [](Options* o) { o->operation_timeout = {}; }},
      {"Options.operation_timeout is 999us",
       [](Options* o) { o->operation_timeout = absl::Microseconds(999); }},
      {"Options.operation_timeout is inf",
       [](Options* o) { o->operation_timeout = absl::InfiniteDuration(); }},
      {"Options.zones: the name \"\"",
       [](Options* o) {
         o->zones = {{"", "/a"}};
       }},
      {"Options.zones: the name \"a/b\"",
       [](Options* o) {
         o->zones = {{"a/b", "/a"}};
       }},
      {"Options.zones: the name",
       [](Options* o) {
         o->zones = {{std::string(65, 'a'), "/a"}};
       }},
      {"Options.zones: zone a has no path",
       [](Options* o) {
         o->zones = {{"a", ""}};
       }},
      {"Options.zones: a stands twice",
       [](Options* o) {
         o->zones = {{"a", "/a"}, {"a", "/b"}};
       }},
      {"Options.zones: b has the path of another zone, /a",
       [](Options* o) {
         o->zones = {{"a", "/a"}, {"b", "/a"}};
       }},
      {"Options.zones has 65 entries",
       [](Options* o) {
         for (int i = 0; i < 65; ++i) {
           o->zones.push_back({absl::StrCat("z", i), absl::StrCat("/z", i)});
         }
       }},
  };
  for (const WrongOption& wrong : kWrong) {
    EXPECT_THAT(ValidateWith(wrong.set), HasError(absl::StatusCode::kInvalidArgument, wrong.text));
  }
}

TEST(OptionsTest, AcceptsTheBounds) {
  EXPECT_THAT(ValidateWith([](Options* o) { o->shards = 1; }), IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->shards = 1024; }), IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->replicas_per_shard = 63; }), IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->memory_bytes = size_t{16} << 20; }), IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->operation_timeout = absl::Milliseconds(1); }),
              IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->operation_timeout = absl::Hours(1); }), IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->default_ttl = absl::Nanoseconds(1); }), IsOk());
  EXPECT_THAT(ValidateWith([](Options* o) { o->zones = {{std::string(64, 'Z'), "/a"}}; }), IsOk());
}

TEST(OptionsTest, ReplicasAreForALaterRelease) {}

}  // namespace
}  // namespace slotkv
