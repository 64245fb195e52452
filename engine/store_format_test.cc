#include "engine/store_format.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

TEST(StoreFormatTest, GoldenKey) {
  EXPECT_EQ(ToHex(StoreKey(0x3ffe, "key").view()), "3ffe6b6579");
  EXPECT_EQ(ToHex(StoreKey(0, "").view()), "0000");
  std::string out;
  AppendSlot(kFirstMetadataSlot, &out);
  EXPECT_EQ(ToHex(out), "4000");
}

TEST(StoreFormatTest, GoldenValue) {
  std::string out;
  AppendValueHeader({ValueType::kString, 0x0102030405060708}, &out);
  out += "payload";
  EXPECT_EQ(ToHex(out),
            "01"
            "00"
            "0807060504030201"
            "7061796c6f6164");
}

TEST(StoreFormatTest, KeysOfEverySize) {
  for (size_t size = 0; size < 300; ++size) {
    const std::string key(size, 'k');
    const StoreKey store_key(1234, key);
    EXPECT_EQ(SlotOf(store_key.view()), 1234);
    EXPECT_EQ(UserKeyOf(store_key.view()), key);
  }
}

TEST(StoreFormatTest, ASlotIsOneRange) {
  const std::vector<std::string> keys = {"", std::string(1, '\0'), "a", std::string(40, '\xff')};
  for (const uint16_t slot : {0, 1, 127, 128, 255, 256, 16382, 16383}) {
    for (const std::string& key : keys) {
      EXPECT_GE(StoreKey(slot, key).view(), StoreKey(slot, "").view());
      EXPECT_LT(StoreKey(slot, key).view(), StoreKey(static_cast<uint16_t>(slot + 1), "").view());
    }
  }
}

TEST(StoreFormatTest, ValuesThatAreNotOursAreRefused) {
  std::string value;
  AppendValueHeader({}, &value);
  for (size_t size = 0; size < kValueHeaderBytes; ++size) {
    EXPECT_FALSE(DecodeValueHeader(value.substr(0, size)).has_value()) << size;
  }
  ASSERT_TRUE(DecodeValueHeader(value).has_value());
  EXPECT_EQ(DecodeValueHeader(value)->expiry_ms, 0u);
  EXPECT_EQ(PayloadOf(value), "");
  value[1] = 1;
  EXPECT_FALSE(DecodeValueHeader(value).has_value());
}

TEST(StoreFormatTest, Expiry) {
  ValueHeader header;
  EXPECT_FALSE(header.ExpiredAt(~uint64_t{0}));
  header.expiry_ms = 1000;
  EXPECT_FALSE(header.ExpiredAt(999));
  EXPECT_TRUE(header.ExpiredAt(1000));
  EXPECT_TRUE(header.ExpiredAt(1001));
}

}  // namespace
}  // namespace slotkv
