#include "tools/expired_keys.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

constexpr size_t kEnough = size_t{1} << 20;

TEST(HashValueTest, CountsItsBytes) {
  HashValue hash;
  EXPECT_EQ(hash.bytes(), 0);
  hash.Set("name", "value");
  EXPECT_EQ(hash.bytes(), 4 + 5 + 16);
  hash.Set("name", "v");
  EXPECT_EQ(hash.bytes(), 4 + 1 + 16);
  hash.Set("", "");
  hash.Set("", "");
  EXPECT_EQ(hash.bytes(), 4 + 1 + 16 + 16);
  EXPECT_EQ(*hash.Find("name"), "v");
  EXPECT_EQ(hash.Find("n"), nullptr);
  hash.Remove("n");
  hash.Remove("name");
  EXPECT_EQ(hash.bytes(), 16);
  hash.Remove("");
  EXPECT_EQ(hash.bytes(), 0);
  EXPECT_TRUE(hash.fields().empty());
}

TEST(ExpiredKeysTest, KeepsKeys) {
  ExpiredKeys keys(kEnough);
  EXPECT_EQ(keys.Find("k"), nullptr);
  keys.Put({"k", "v", absl::UnixEpoch()});
  HashValue hash;
  hash.Set("f", "v");
  keys.Put({"h", hash, absl::UnixEpoch()});
  EXPECT_EQ(*keys.Find("k")->string(), "v");
  EXPECT_EQ(keys.Find("k")->hash(), nullptr);
  EXPECT_EQ(*keys.Find("h")->hash()->Find("f"), "v");
  EXPECT_EQ(keys.Find("h")->string(), nullptr);
  keys.Put({"k", hash, absl::UnixEpoch()});
  EXPECT_NE(keys.Find("k")->hash(), nullptr);
  keys.Erase(keys.Find("k")->key);
  EXPECT_EQ(keys.Find("k"), nullptr);
  keys.Erase("k");
  keys.Clear();
  EXPECT_EQ(keys.Find("h"), nullptr);
  EXPECT_EQ(keys.given_up(), 0);
}

TEST(ExpiredKeysTest, GivesUpWhatGrowsTooLarge) {
  ExpiredKeys keys(kEnough);
  keys.Put({"k", "v", absl::UnixEpoch()});
  keys.Put({"h", HashValue(), absl::UnixEpoch()});
  ExpiredKey* const h = keys.Find("h");
  for (int i = 0; i < 1000; ++i) h->hash()->Set(absl::StrCat(i), std::string(400, 'v'));
  keys.Changed(h);
  EXPECT_EQ(keys.given_up(), 0);
  for (int i = 0; i < 1000; ++i) h->hash()->Set(absl::StrCat(i), std::string(1000, 'v'));
  keys.Changed(h);
  // Both: the other was unused for longer.
  EXPECT_EQ(keys.given_up(), 2);
  EXPECT_EQ(keys.Find("k"), nullptr);
  // And what they took is free again.
  for (int i = 0; i < 1000; ++i) keys.Put({absl::StrCat(i), "v", absl::UnixEpoch()});
  EXPECT_EQ(keys.given_up(), 2);
}

}  // namespace
}  // namespace slotkv::tools
