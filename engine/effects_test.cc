#include "engine/effects.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

TEST(EffectsTest, GoldenBytes) {
  std::string out;
  AppendPut(0x0123, "key", {ValueType::kString, 0x0102030405060708}, "value", &out);
  AppendDelete(16383, "", &out);
  AppendClear(1, 16383, &out);
  EXPECT_EQ(ToHex(out),
            "01"  // put
            "05"
            "0123"
            "6b6579"  // slot and key
            "0f"
            "01"
            "00"
            "0807060504030201"
            "76616c7565"  // type, flags, expiry, payload
            "02"          // delete
            "02"
            "3fff"
            "03"  // clear
            "0001"
            "3fff");
}

TEST(EffectsTest, RandomEffectsComeBack) {
  std::mt19937_64 random(TestSeed());
  const auto random_bytes = [&](size_t limit) {
    std::string bytes(random() % limit, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  };
  for (int round = 0; round < 500; ++round) {
    struct Expected {
      Effect::Kind kind;
      uint16_t slot;
      std::string key, payload;
      uint64_t expiry_ms;
      uint16_t last;  // of a clear
    };
    std::vector<Expected> expected;
    std::string out;
    for (uint64_t i = random() % 10; i > 0; --i) {
      Expected e = {static_cast<Effect::Kind>(1 + random() % 3),
                    static_cast<uint16_t>(random() % 16384),
                    random_bytes(300),
                    random_bytes(1000),
                    random() % 2 == 0 ? 0 : random(),
                    0};
      switch (e.kind) {
        case Effect::kPut:
          AppendPut(e.slot, e.key, {ValueType::kString, e.expiry_ms}, e.payload, &out);
          break;
        case Effect::kDelete:
          AppendDelete(e.slot, e.key, &out);
          break;
        case Effect::kClear:
          e.key.clear();
          e.last = static_cast<uint16_t>(e.slot + random() % (16384 - e.slot));
          AppendClear(e.slot, e.last, &out);
          break;
      }
      expected.push_back(std::move(e));
    }
    EffectReader reader(out);
    Effect effect;
    for (const Expected& e : expected) {
      ASSERT_TRUE(reader.Next(&effect));
      EXPECT_EQ(effect.kind, e.kind);
      EXPECT_EQ(SlotOf(effect.store_key), e.slot);
      if (e.kind == Effect::kClear) {
        EXPECT_EQ(ClearedSlots(effect.store_key).first, e.slot);
        EXPECT_EQ(ClearedSlots(effect.store_key).last, e.last);
      } else {
        EXPECT_EQ(UserKeyOf(effect.store_key), e.key);
      }
      if (e.kind != Effect::kPut) {
        EXPECT_TRUE(effect.store_value.empty());
        continue;
      }
      EXPECT_EQ(DecodeValueHeader(effect.store_value)->expiry_ms, e.expiry_ms);
      EXPECT_EQ(PayloadOf(effect.store_value), e.payload);
    }
    EXPECT_FALSE(reader.Next(&effect));
    EXPECT_TRUE(reader.ok());
  }
}

// Reads to the end; true if all of it were effects.
bool ReadsWhole(std::string_view payload) {
  EffectReader reader(payload);
  Effect effect;
  while (reader.Next(&effect)) {
    EXPECT_GE(effect.store_key.size(), kSlotBytes);
    EXPECT_TRUE(effect.kind != Effect::kPut || effect.store_value.size() >= kValueHeaderBytes);
  }
  EXPECT_FALSE(reader.Next(&effect)) << "goes on after its end";
  return reader.ok();
}

TEST(EffectsTest, TruncationIsSeen) {
  std::string out;
  AppendPut(1, "key", {}, "value", &out);
  const size_t first = out.size();
  AppendDelete(1, "another", &out);
  for (size_t size = 0; size <= out.size(); ++size) {
    const bool whole = size == 0 || size == first || size == out.size();
    EXPECT_EQ(ReadsWhole(std::string_view(out).substr(0, size)), whole) << size;
  }
}

TEST(EffectsTest, WhatIsNoEffectIsRefused) {
  using std::string_literals::operator""s;
  EXPECT_FALSE(ReadsWhole("\0"s));                               // no such operation
  EXPECT_FALSE(ReadsWhole("\4\2\0\0"s));                         // nor this
  EXPECT_FALSE(ReadsWhole("\3\0\0\0"s));                         // half a slot
  EXPECT_FALSE(ReadsWhole("\3\0\1\0\0"s));                       // the last before the first
  EXPECT_FALSE(ReadsWhole("\3\0\0\x40\0"s));                     // a slot that is not the user's
  EXPECT_FALSE(ReadsWhole("\2\1\0"s));                           // a key without a slot
  EXPECT_FALSE(ReadsWhole("\1\2\0\0\3abc"s));                    // a value without a header
  EXPECT_FALSE(ReadsWhole("\1\2\0\0\12\1\1\0\0\0\0\0\0\0\0"s));  // flags that are not zero
  EXPECT_FALSE(ReadsWhole("\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s));  // a length beyond all
}

TEST(EffectsTest, GarbageNeverCrashes) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 20000; ++i) {
    std::string out;
    AppendPut(7, std::string(random() % 20, 'k'), {}, std::string(random() % 200, 'v'), &out);
    AppendDelete(7, "k", &out);
    for (uint64_t flips = random() % 4; flips > 0; --flips) {
      out[random() % out.size()] = static_cast<char>(random());
    }
    out.resize(random() % (out.size() + 1));
    ReadsWhole(out);
  }
}

}  // namespace
}  // namespace slotkv
