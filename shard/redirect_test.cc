#include "slotkv/redirect.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

TEST(RedirectTest, ComesBackOutOfItsStatus) {
  for (const Redirect::Kind kind : {Redirect::kMoved, Redirect::kAsk, Redirect::kTryAgain}) {
    for (const Slot slot : {0, 3999, 16383}) {
      for (const uint32_t shard : {1u, 7u, 0xffffffu}) {
        const Redirect redirect = {kind, slot, ShardId(shard)};
        const absl::Status status = RedirectStatus(redirect);
        EXPECT_TRUE(absl::IsAborted(status));
        const absl::Status copy = status;
        ASSERT_TRUE(GetRedirect(copy).has_value());
        EXPECT_EQ(*GetRedirect(copy), redirect);
      }
    }
  }
}

TEST(RedirectTest, ReadsAsRedisWouldSayIt) {
  EXPECT_EQ(RedirectStatus({Redirect::kMoved, 3999, ShardId(2)}).message(), "MOVED 3999 shard-2");
  EXPECT_EQ(RedirectStatus({Redirect::kAsk, 0, ShardId(12)}).message(), "ASK 0 shard-12");
  EXPECT_EQ(RedirectStatus({Redirect::kTryAgain, 5, ShardId(1)}).message(),
            "TRYAGAIN Multiple keys request during rehashing of slot");
}

TEST(RedirectTest, OtherStatusesAreNone) {
  EXPECT_FALSE(GetRedirect(absl::OkStatus()).has_value());
  EXPECT_FALSE(GetRedirect(absl::AbortedError("MOVED 3999 shard-2")).has_value());
  EXPECT_FALSE(GetRedirect(absl::NotFoundError("")).has_value());
}

TEST(RedirectTest, WhatIsNoRedirectIsNotTakenForOne) {
  std::string url;
  std::string good;
  RedirectStatus({Redirect::kAsk, 16383, ShardId(9)})
      .ForEachPayload([&](absl::string_view name, const absl::Cord& payload) {
        url = std::string(name);
        good = std::string(payload);
      });
  const auto read = [&](const std::string& payload) {
    absl::Status status = absl::AbortedError("");
    status.SetPayload(url, absl::Cord(payload));
    return GetRedirect(status);
  };
  EXPECT_TRUE(read(good).has_value());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(read(good.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(read(good + "x").has_value());
  std::string unknown_kind = good;
  unknown_kind[0] = 3;
  EXPECT_FALSE(read(unknown_kind).has_value());
  std::string no_slot = good;
  no_slot[1] = 0;
  no_slot[2] = 0x40;  // 16384
  EXPECT_FALSE(read(no_slot).has_value());
}

}  // namespace
}  // namespace slotkv
