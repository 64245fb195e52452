#include "shard/hash_value.h"

#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/coding.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using Fields = std::vector<std::pair<std::string, std::string>>;

// What is read before the end, or before the error.
Fields FieldsOf(std::string_view payload, absl::Status* status) {
  Fields fields;
  *status = VisitHash(payload, [&](std::string_view name, std::string_view value) {
    fields.emplace_back(name, value);
    return true;
  });
  return fields;
}

Fields SoundFieldsOf(std::string_view payload) {
  absl::Status status;
  Fields fields = FieldsOf(payload, &status);
  EXPECT_THAT(status, IsOk());
  return fields;
}

std::string Encoded(const Fields& fields) {
  std::string payload;
  for (const auto& [name, value] : fields) {
    PutBytes(&payload, name);
    PutBytes(&payload, value);
  }
  return payload;
}

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

TEST(HashValueTest, GoldenBytes) {
  const std::string sevens(200, '7');
  HashFields hash;
  hash.Set("name", "Ann");
  hash.Set("", "");
  hash.Set("age", sevens);
  EXPECT_EQ(ToHex(hash.Encode()),
            "0000"  // "": ""
            "03616765"
            "c801" +  // age: 200 bytes
                ToHex(sevens) +
                "046e616d65"
                "03416e6e");  // name: Ann
}

TEST(HashValueTest, SetsReplacesAndRemoves) {
  HashFields hash;
  EXPECT_TRUE(hash.empty());
  EXPECT_TRUE(hash.Set("b", "1"));
  EXPECT_TRUE(hash.Set("a", "2"));
  EXPECT_FALSE(hash.Set("b", "longer"));
  EXPECT_THAT(SoundFieldsOf(hash.Encode()), ElementsAre(Pair("a", "2"), Pair("b", "longer")));
  EXPECT_EQ(hash.ByteSize(), 2 * kHashFieldOverheadBytes + 2 + 1 + 6);
  EXPECT_FALSE(hash.Remove("c"));
  EXPECT_TRUE(hash.Remove("a"));
  EXPECT_FALSE(hash.Remove("a"));
  EXPECT_FALSE(hash.Set("b", ""));
  EXPECT_EQ(hash.ByteSize(), kHashFieldOverheadBytes + 1);
  EXPECT_TRUE(hash.Remove("b"));
  EXPECT_TRUE(hash.empty());
  EXPECT_EQ(hash.ByteSize(), 0u);
  EXPECT_EQ(hash.Encode(), "");
}

TEST(HashValueTest, DecodesWhatItEncoded) {
  const std::string payload = Encoded({{"", "of none"}, {"a", ""}, {std::string("b\0", 2), "x"}});
  HashFields hash;
  ASSERT_THAT(hash.Decode(payload), IsOk());
  EXPECT_EQ(hash.Encode(), payload);
  EXPECT_EQ(hash.ByteSize(), 3 * kHashFieldOverheadBytes + 7 + 1 + 3);
  HashFields none;
  EXPECT_THAT(none.Decode(""), IsOk());
  EXPECT_TRUE(none.empty());
}

TEST(HashValueTest, AVisitorMayStop) {
  const std::string payload = Encoded({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  std::vector<std::string> seen;
  EXPECT_THAT(VisitHash(payload,
                        [&](std::string_view name, std::string_view) {
                          seen.emplace_back(name);
                          return name < "b";
                        }),
              IsOk());
  EXPECT_THAT(seen, ElementsAre("a", "b"));
  // What comes behind is not looked at.
  EXPECT_THAT(VisitHash(payload + "\xff", [](std::string_view, std::string_view) { return false; }),
              IsOk());
}

TEST(HashValueTest, FieldsAscendAndNoneStandsThereTwice) {
  for (const Fields& fields : {Fields{{"b", ""}, {"a", ""}}, Fields{{"a", "1"}, {"a", "1"}},
                               Fields{{"", ""}, {"", ""}}, Fields{{"a", ""}, {"", ""}}}) {
    HashFields hash;
    EXPECT_THAT(hash.Decode(Encoded(fields)), HasCode(kDataLoss));
  }
  // Bytes are unsigned.
  EXPECT_EQ(SoundFieldsOf(Encoded({{"\x7f", ""}, {"\x80", ""}})).size(), 2u);
}

TEST(HashValueTest, TruncationIsSeen) {
  const Fields fields = {{"", "x"}, {"a", std::string(300, 'v')}, {"bb", ""}};
  const std::string payload = Encoded(fields);
  size_t whole = 0;  // fields in the first `size` bytes
  for (size_t size = 0; size <= payload.size(); ++size) {
    const Fields first(fields.begin(), std::next(fields.begin(), static_cast<ptrdiff_t>(whole)));
    if (whole < fields.size()) {
      const Fields next(fields.begin(),
                        std::next(fields.begin(), static_cast<ptrdiff_t>(whole + 1)));
      if (Encoded(next).size() == size) ++whole;
    }
    absl::Status status;
    const Fields read = FieldsOf(std::string_view(payload).substr(0, size), &status);
    EXPECT_EQ(read.size(), whole);
    // At a field's end nothing is missing.
    const bool at_an_end = Encoded(read).size() == size;
    EXPECT_THAT(status, HasCode(at_an_end ? absl::StatusCode::kOk : kDataLoss)) << size;
  }
  EXPECT_EQ(whole, fields.size());
}

TEST(HashValueTest, GarbageIsRefusedAndNeverCrashes) {
  std::mt19937_64 random(TestSeed());
  EXPECT_THAT(HashFields().Decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), HasCode(kDataLoss));
  EXPECT_THAT(HashFields().Decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), HasCode(kDataLoss));
  for (int i = 0; i < 20000; ++i) {
    Fields fields;
    for (char name = 'a'; random() % 4 != 0; ++name) {
      fields.emplace_back(std::string(1 + random() % 3, name), std::string(random() % 200, 'v'));
    }
    std::string payload = Encoded(fields);
    for (uint64_t flips = random() % 4; flips > 0 && !payload.empty(); --flips) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    payload.resize(random() % (payload.size() + 1));
    HashFields hash;
    const absl::Status status = hash.Decode(payload);
    ASSERT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
    // What was read as a hash is written as the same; a varint may have been longer than need be.
    if (!status.ok()) continue;
    ASSERT_EQ(SoundFieldsOf(hash.Encode()), SoundFieldsOf(payload));
  }
}

TEST(HashValueTest, RandomChangesAgainstAMap) {
  std::mt19937_64 random(TestSeed());
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i) texts.emplace_back(random() % 5, static_cast<char>('a' + i % 3));
  std::map<std::string, std::string> model;
  std::string payload;
  for (int round = 0; round < 500; ++round) {
    HashFields hash;
    ASSERT_THAT(hash.Decode(payload), IsOk());
    for (uint64_t i = random() % 8; i > 0; --i) {
      const std::string& name = texts[random() % texts.size()];
      const std::string& value = texts[random() % texts.size()];
      if (random() % 2 == 0) {
        ASSERT_EQ(hash.Set(name, value), model.insert_or_assign(name, value).second);
      } else {
        ASSERT_EQ(hash.Remove(name), model.erase(name) == 1);
      }
    }
    size_t bytes = 0;
    for (const auto& [name, value] : model) {
      bytes += name.size() + value.size() + kHashFieldOverheadBytes;
    }
    ASSERT_EQ(hash.ByteSize(), bytes);
    payload = hash.Encode();
    ASSERT_EQ(SoundFieldsOf(payload), Fields(model.begin(), model.end()));
  }
}

}  // namespace
}  // namespace slotkv
