#include "slotkv/slot.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "shard/crc16.h"

namespace slotkv {
namespace {

using std::string_view_literals::operator""sv;

// Runs before main, in no defined order with slot.cc's own variables.
const Slot kSlotOfStaticInitialiser = SlotForKey("foo");

// ---- Independent models: the definitions, a bit or a byte at a time ----

uint16_t ModelCrc16(std::string_view data) {
  uint16_t crc = 0;
  for (const char c : data) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool in = (static_cast<unsigned char>(c) >> bit & 1) != 0;
      const bool out = (crc & 0x8000) != 0;
      crc = static_cast<uint16_t>(crc << 1);
      if (in != out) crc ^= 0x1021;
    }
  }
  return crc;
}

std::string_view ModelHashTag(std::string_view key) {
  for (size_t open = 0; open < key.size(); ++open) {
    if (key[open] != '{') continue;
    for (size_t close = open + 1; close < key.size(); ++close) {
      if (key[close] != '}') continue;
      return close == open + 1 ? key : key.substr(open + 1, close - open - 1);
    }
    return key;
  }
  return key;
}

Slot ModelSlot(std::string_view key) { return ModelCrc16(ModelHashTag(key)) % kSlotCount; }

// ---- Inputs ----

constexpr size_t kMaxRandomLength = 600;

// Set SLOTKV_TEST_SEED to a number to repeat a run.
uint64_t Seed() {
  static const uint64_t seed = [] {
    const char* const given = std::getenv("SLOTKV_TEST_SEED");
    const uint64_t value =
        given != nullptr ? std::strtoull(given, nullptr, 10) : uint64_t{std::random_device()()};
    std::cout << "SLOTKV_TEST_SEED=" << value << std::endl;
    return value;
  }();
  return seed;
}

// A copy of some bytes at any alignment, whose last byte is the last of its allocation. With
// offset 0 the first is also the first: a memory checker then sees every access outside.
class ExactBuffer {
 public:
  ExactBuffer(std::string_view data, size_t offset)
      : memory_(new char[offset + data.size()]), view_(memory_.get() + offset, data.size()) {
    data.copy(memory_.get() + offset, data.size());
  }
  std::string_view view() const { return view_; }

 private:
  std::unique_ptr<char[]> memory_;
  std::string_view view_;
};

// What the random bytes are drawn from: of the smaller ones nearly all keys have braces.
enum class Bytes { kAll, kNoBraces, kFewBraces, kManyBraces };

std::string RandomKey(std::mt19937_64& random, size_t length, Bytes bytes) {
  std::string key(length, '\0');
  for (char& c : key) {
    do {
      c = static_cast<char>(random());
    } while (bytes != Bytes::kAll && (c == '{' || c == '}'));
  }
  if (bytes == Bytes::kManyBraces) {
    for (char& c : key) c = "{}ab"[random() % 4];
  }
  if (bytes == Bytes::kFewBraces && length > 0) {
    key[random() % length] = '{';
    key[random() % length] = '}';
  }
  return key;
}

// Calls check(key) for random keys of all lengths, kinds and alignments.
template <typename Check>
void ForRandomKeys(Check check) {
  ::testing::Test::RecordProperty("seed", std::to_string(Seed()));
  SCOPED_TRACE("SLOTKV_TEST_SEED=" + std::to_string(Seed()));
  std::mt19937_64 random(Seed());
  for (size_t length = 0; length <= kMaxRandomLength; ++length) {
    for (const Bytes bytes :
         {Bytes::kAll, Bytes::kNoBraces, Bytes::kFewBraces, Bytes::kManyBraces}) {
      const std::string key = RandomKey(random, length, bytes);
      for (const size_t offset :
           {size_t{0}, size_t{1 + random() % 15}, size_t{1 + random() % 63}}) {
        check(ExactBuffer(key, offset).view());
        if (::testing::Test::HasFailure()) {
          FAIL() << "key of " << length << " bytes: " << ::testing::PrintToString(key);
        }
      }
    }
  }
}

// ---- Published vectors ----

struct CrcVector {
  std::string_view data;
  uint16_t crc;
};
constexpr CrcVector kCrcVectors[] = {
    {"", 0x0000},
    {"123456789", 0x31C3},
    {"sfger132515", 0xA45C},
    {"hae9Napahngaikeethievubaibogiech", 0x58CE},
    {"AAAAAAAAAAAAAAAAAAAAAA", 0x92CD},
    {"Hello, World!", 0x4FD6},
};

struct SlotVector {
  std::string_view key;
  Slot slot;
};
constexpr SlotVector kSlotVectors[] = {
    {"", 0},
    {"123456789", 12739},
    {"foo", 12182},
    {"51", 7186},
    {"x", 16287},
    {"y", 12222},
    {"a", 15495},
    {"d", 11298},
    {"tag22273", 7000},
    {"{06S}", 0},
    {"{450}", 5462},
    {"{6ZJ}", 16383},
    {"{}", 15257},
    {"{}foo", 9500},
    {"foo{}{bar}", 8363},
    {"foo{{bar}}zap", 4015},
    {"foo{bar}{zap}", 5061},
    {"{user1000}.following", 3443},
};

TEST(Crc16Test, PublishedVectors) {
  for (const auto& [data, crc] : kCrcVectors) {
    EXPECT_EQ(Crc16(data), crc) << data;
    EXPECT_EQ(ModelCrc16(data), crc) << data;
  }
}

TEST(SlotForKeyTest, PublishedVectors) {
  for (const auto& [key, slot] : kSlotVectors) {
    EXPECT_EQ(SlotForKey(key), slot) << key;
    EXPECT_EQ(ModelSlot(key), slot) << key;
  }
}

TEST(SlotForKeyTest, IsRightInStaticInitialisers) { EXPECT_EQ(kSlotOfStaticInitialiser, 12182); }

// ---- Hash tags ----

TEST(HashTagTest, IsBetweenTheFirstBraceAndTheNextClosingOne) {
  EXPECT_EQ(HashTag("{user1000}.following"), "user1000");
  EXPECT_EQ(HashTag("foo{bar}{zap}"), "bar");
  EXPECT_EQ(HashTag("foo{{bar}}zap"), "{bar");
  EXPECT_EQ(HashTag("foo{bar}"), "bar");
  EXPECT_EQ(HashTag("}foo{bar}"), "bar");
  EXPECT_EQ(HashTag("{}}"), "{}}");
  EXPECT_EQ(HashTag("{{}"), "{");
}

TEST(HashTagTest, IsTheWholeKeyWithoutAPairThatHoldsSomething) {
  for (const std::string_view key : {""sv, "foo"sv, "{"sv, "}"sv, "{}"sv, "}{"sv, "{}foo"sv,
                                     "foo{}{bar}"sv, "foo{bar"sv, "}foo{bar"sv, "foo}bar"sv}) {
    EXPECT_EQ(HashTag(key), key);
  }
}

TEST(HashTagTest, IsAViewIntoTheKey) {
  const std::string key = "ab{cd}";
  EXPECT_EQ(HashTag(key).data(), key.data() + 3);
}

TEST(SlotForKeyTest, KeysWithOneTagShareItsSlot) {
  // Tags and what surrounds them, of all the sizes at which an implementation may change its ways.
  for (size_t tag_size = 1; tag_size < 40; ++tag_size) {
    const std::string tag(tag_size, 't');
    for (size_t before = 0; before < 40; ++before) {
      for (size_t after = 0; after < 40; ++after) {
        const std::string key =
            std::string(before, 'b') + '{' + tag + '}' + std::string(after, '}');
        ASSERT_EQ(SlotForKey(ExactBuffer(key, 0).view()), SlotForKey(tag)) << key;
      }
    }
  }
}

// ---- Bytes ----

TEST(SlotForKeyTest, NoByteEndsAKey) {
  EXPECT_EQ(SlotForKey("a\0b"sv), ModelSlot("a\0b"sv));
  EXPECT_NE(SlotForKey("a\0b"sv), SlotForKey("a\0c"sv));
  EXPECT_EQ(SlotForKey("\0{a\0}"sv), SlotForKey("a\0"sv));
  EXPECT_EQ(HashTag("x{\0}"sv), "\0"sv);
  // Leading zeros do not change a CRC that starts from 0, but trailing ones do.
  EXPECT_EQ(Crc16("\0\0a"sv), Crc16("a"sv));
  EXPECT_NE(Crc16("a\0"sv), Crc16("a"sv));
}

TEST(SlotForKeyTest, LongestKeys) {
  std::string key(65536, '\xFF');
  EXPECT_EQ(SlotForKey(key), ModelSlot(key));
  key.replace(key.size() - 3, 3, "{x}");
  EXPECT_EQ(SlotForKey(key), SlotForKey("x"));
}

// ---- Random keys ----

TEST(SlotForKeyTest, AgreesWithTheModel) {
  ForRandomKeys([](std::string_view key) {
    EXPECT_EQ(Crc16(key), ModelCrc16(key));
    EXPECT_EQ(HashTag(key), ModelHashTag(key));
    EXPECT_EQ(SlotForKey(key), ModelSlot(key));
  });
}

TEST(Crc16Test, ImplementationsAgree) {
  const bool clmul = internal::HasCarrylessMultiply();
  if (!clmul) std::cout << "no carry-less multiplication on this machine" << std::endl;
  ForRandomKeys([clmul](std::string_view key) {
    const uint16_t crc = ModelCrc16(key);
    const uint16_t key_crc = ModelCrc16(ModelHashTag(key));
    EXPECT_EQ(internal::Crc16Portable(key), crc);
    EXPECT_EQ(internal::KeyCrc16Portable(key), key_crc);
    if (!clmul) return;
    EXPECT_EQ(internal::Crc16Clmul(key), crc);
    EXPECT_EQ(internal::KeyCrc16Clmul(key), key_crc);
  });
}

TEST(Crc16Test, TheFasterImplementationIsChosen) {
  const bool clmul = internal::HasCarrylessMultiply();
  Crc16("");
  SlotForKey("");
  EXPECT_EQ(internal::crc16_implementation.load(),
            clmul ? &internal::Crc16Clmul : &internal::Crc16Portable);
  EXPECT_EQ(internal::key_crc16_implementation.load(),
            clmul ? &internal::KeyCrc16Clmul : &internal::KeyCrc16Portable);
}

TEST(SlotsForKeysTest, AgreesWithSlotForKey) {
  SCOPED_TRACE("SLOTKV_TEST_SEED=" + std::to_string(Seed()));
  std::mt19937_64 random(Seed());
  for (size_t count = 0; count < 50; ++count) {
    std::vector<std::string> keys;
    for (size_t i = 0; i < count; ++i) {
      keys.push_back(RandomKey(random, random() % 100, Bytes::kFewBraces));
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<Slot> slots(count);
    SlotsForKeys(views, absl::MakeSpan(slots));
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(slots[i], SlotForKey(keys[i]));
  }
}

TEST(SlotsForKeysDeathTest, SpansOfDifferentSizes) {
  const std::string_view keys[] = {"a", "b"};
  Slot slots[1];
  EXPECT_DEATH(SlotsForKeys(keys, absl::MakeSpan(slots)), "2 keys but room for 1 slots");
}

TEST(SlotRangeTest, Compares) {
  EXPECT_TRUE((SlotRange{1, 5} == SlotRange{1, 5}));
  EXPECT_FALSE((SlotRange{1, 5} == SlotRange{1, 6}));
  EXPECT_TRUE((SlotRange{1, 5} != SlotRange{0, 5}));
  EXPECT_FALSE((SlotRange{1, 5} != SlotRange{1, 5}));
}

}  // namespace
}  // namespace slotkv
