#include "engine/coding.h"

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

TEST(CodingTest, FixedIntegersAreLittleEndian) {
  std::string out;
  PutFixed<uint8_t>(&out, 0x01);
  PutFixed<uint16_t>(&out, 0x0203);
  PutFixed<uint32_t>(&out, 0x04050607);
  PutFixed<uint64_t>(&out, 0x08090a0b0c0d0e0f);
  EXPECT_EQ(ToHex(out),
            "01"
            "0302"
            "07060504"
            "0f0e0d0c0b0a0908");
  EXPECT_EQ(LoadFixed<uint32_t>(out.data() + 3), 0x04050607u);
  StoreFixed<uint16_t>(out.data() + 1, 0xbeef);
  EXPECT_EQ(ToHex(out.substr(0, 3)), "01efbe");
}

TEST(CodingTest, VarintBytes) {
  const std::vector<std::pair<uint64_t, std::string>> golden = {
      {0, "00"},
      {1, "01"},
      {127, "7f"},
      {128, "8001"},
      {300, "ac02"},
      {16384, "808001"},
      {std::numeric_limits<uint64_t>::max(), "ffffffffffffffffff01"},
  };
  for (const auto& [value, hex] : golden) {
    std::string out;
    PutVarint(&out, value);
    EXPECT_EQ(ToHex(out), hex);
    Decoder in(out);
    uint64_t read = 0;
    EXPECT_TRUE(in.Varint(&read));
    EXPECT_EQ(read, value);
    EXPECT_TRUE(in.empty());
  }
}

TEST(CodingTest, VarintsThatDoNotEndOrDoNotFitAreRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("\x80"), std::string(9, '\x80'), std::string(10, '\xff'),
        std::string(9, '\xff') + '\x02', std::string(10, '\x80') + '\x01'}) {
    Decoder in(bytes);
    uint64_t value = 0;
    EXPECT_FALSE(in.Varint(&value)) << ToHex(bytes);
    EXPECT_FALSE(in.ok());
  }
}

TEST(CodingTest, BytesThatClaimMoreThanThereIsAreRefused) {
  std::string out;
  PutBytes(&out, "abc");
  EXPECT_EQ(ToHex(out), "03616263");
  for (size_t size = 0; size < out.size(); ++size) {
    Decoder in(std::string_view(out).substr(0, size));
    std::string_view value;
    EXPECT_FALSE(in.Bytes(&value)) << size;
  }
  // A length near the top of its range must not wrap around to a small one.
  std::string huge;
  PutVarint(&huge, std::numeric_limits<uint64_t>::max());
  Decoder in(huge);
  std::string_view value;
  EXPECT_FALSE(in.Bytes(&value));
}

TEST(CodingTest, AfterAFailureEveryCallFails) {
  const std::string bytes = "\x05";
  Decoder in(bytes);
  uint32_t wide = 0;
  EXPECT_FALSE(in.Fixed(&wide));
  uint8_t narrow = 0;
  EXPECT_FALSE(in.Fixed(&narrow));
  uint64_t number = 0;
  EXPECT_FALSE(in.Varint(&number));
  std::string_view text;
  EXPECT_FALSE(in.Bytes(&text));
  EXPECT_FALSE(in.ok());
}

TEST(CodingTest, RandomValuesComeBack) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 10000; ++i) {
    const uint64_t number = random() >> (random() % 64);
    const std::string text(random() % 300, static_cast<char>(random()));
    std::string out;
    PutVarint(&out, number);
    PutBytes(&out, text);
    PutFixed<uint64_t>(&out, number);
    Decoder in(out);
    uint64_t read = 0, fixed = 0;
    std::string_view bytes;
    ASSERT_TRUE(in.Varint(&read) && in.Bytes(&bytes) && in.Fixed(&fixed));
    ASSERT_EQ(read, number);
    ASSERT_EQ(bytes, text);
    ASSERT_EQ(fixed, number);
    ASSERT_TRUE(in.empty() && in.ok());
  }
}

}  // namespace
}  // namespace slotkv
