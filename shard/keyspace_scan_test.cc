// Scan: every key once, in order, page by page.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class KeyspaceScanTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  void Set(std::string_view key, std::string_view value = "v",
           absl::Duration ttl = absl::InfiniteDuration()) {
    SetOptions options;
    options.ttl = ttl;
    ASSERT_THAT(cluster_->Set(key, value, options), IsOk());
  }

  // All pages from `options.cursor` on; a page's limit is `limit()`.
  template <typename Limit>
  std::vector<ScanEntry> ScanAll(ScanOptions options, Limit limit) {
    std::vector<ScanEntry> entries;
    pages_ = 0;
    do {
      options.limit = limit();
      absl::StatusOr<ScanPage> page = cluster_->Scan(options);
      EXPECT_THAT(page, IsOk());
      if (!page.ok()) break;
      ++pages_;
      EXPECT_LE(page->entries.size(), options.limit);
      EXPECT_TRUE(page->cursor.empty() || !page->entries.empty()) << "a page without progress";
      for (ScanEntry& entry : page->entries) entries.push_back(std::move(entry));
      options.cursor = page->cursor;
    } while (!options.cursor.empty());
    return entries;
  }
  std::vector<std::string> Keys(const ScanOptions& options = {}, size_t limit = 1000) {
    std::vector<std::string> keys;
    for (ScanEntry& entry : ScanAll(options, [limit] { return limit; })) {
      keys.push_back(std::move(entry.key));
    }
    return keys;
  }

  int pages_ = 0;
};

// As Scan orders them.
std::vector<std::string> InOrder(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end(), [](const std::string& a, const std::string& b) {
    return std::make_pair(SlotForKey(a), a) < std::make_pair(SlotForKey(b), b);
  });
  return keys;
}

TEST_F(KeyspaceScanTest, OfNothing) {
  EXPECT_THAT(Keys(), IsEmpty());
  EXPECT_EQ(pages_, 1);
}

TEST_F(KeyspaceScanTest, EveryKeyOnceWhateverThePages) {
  std::mt19937_64 random(TestSeed());
  std::vector<std::string> keys = {"", std::string(1, '\0'), std::string(3, '\xff'),
                                   std::string(kMaxKeyBytes, 'k')};
  for (int i = 0; i < 700; ++i) {
    keys.push_back(i % 2 == 0 ? absl::StrCat(i) : absl::StrCat("{t}", i));
    keys.push_back(absl::StrCat(i % 4 < 2 ? "{06S}" : "{6ZJ}", i));  // the first slot, the last one
  }
  for (const std::string& key : keys) Set(key);
  const std::vector<std::string> expected = InOrder(keys);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Keys(), expected);
    EXPECT_EQ(Keys({}, keys.size()), expected);
    EXPECT_EQ(Keys({}, 7), expected);
    EXPECT_EQ(Keys({}, 1), expected);
    EXPECT_EQ(Keys({}, kMaxScanLimit), expected);
    EXPECT_EQ(pages_, 1);
    std::vector<std::string> random_pages;
    for (const ScanEntry& entry : ScanAll({}, [&] { return 1 + random() % 40; })) {
      random_pages.push_back(entry.key);
    }
    EXPECT_EQ(random_pages, expected);
    // Once more from tables.
    ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  }
}

TEST_F(KeyspaceScanTest, TypesAndValues) {
  Set("{t}a", "of a");
  Set("{t}b", "");
  ASSERT_THAT(cluster_->HashSet("{t}c", {{"field", "value"}}), IsOk());
  for (const bool values : {false, true}) {
    ScanOptions options;
    options.values = values;
    const auto entries = ScanAll(options, [] { return size_t{2}; });
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[0].key, "{t}a");
    EXPECT_EQ(entries[0].type, KeyType::kString);
    EXPECT_EQ(entries[0].value, values ? "of a" : "");
    EXPECT_EQ(entries[1].key, "{t}b");
    EXPECT_EQ(entries[1].value, "");
    EXPECT_EQ(entries[2].key, "{t}c");
    EXPECT_EQ(entries[2].type, KeyType::kHash);
    EXPECT_EQ(entries[2].value, "");
  }
}

TEST_F(KeyspaceScanTest, APrefixWithAndWithoutAHashTag) {
  const std::vector<std::string> keys = {"user:1", "user:2", "use",    "user",   "userx",
                                         "{u}:a",  "{u}:b",  "{u}a:",  "{uu}:a", "{u",
                                         "{}u:1",  "{}u:2",  "x{u}:a", "v"};
  for (const std::string& key : keys) Set(key);
  const auto with_prefix = [&](const std::string& prefix) {
    std::vector<std::string> found;
    for (const std::string& key : keys) {
      if (key.substr(0, prefix.size()) == prefix) found.push_back(key);
    }
    return InOrder(found);
  };
  for (const std::string prefix :
       {"user:", "user", "u", "{u}", "{u}:", "{u", "{", "{}", "{}u:", "x{u}:", "x{", "none", ""}) {
    ScanOptions options;
    options.prefix = prefix;
    EXPECT_EQ(Keys(options), with_prefix(prefix)) << prefix;
    EXPECT_EQ(Keys(options, 1), with_prefix(prefix)) << prefix;
  }
  ScanOptions options;
  options.prefix = std::string(kMaxKeyBytes + 1, 'k');
  EXPECT_THAT(cluster_->Scan(options), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(KeyspaceScanTest, WhatHasExpiredIsNotSeen) {
  Set("{t}a", "v", absl::Seconds(1));
  Set("{t}b");
  Set("{t}c", "v", absl::Seconds(1));
  EXPECT_THAT(Keys(), ElementsAre("{t}a", "{t}b", "{t}c"));
  clock_->Advance(absl::Seconds(1));
  EXPECT_THAT(Keys(), ElementsAre("{t}b"));
  EXPECT_THAT(Keys({}, 1), ElementsAre("{t}b"));
}

TEST_F(KeyspaceScanTest, ACursorOutlivesItsKeyAndItsProcess) {
  for (const char* const key : {"{t}a", "{t}b", "{t}c", "{t}d"}) Set(key);
  ScanOptions options;
  options.limit = 2;
  absl::StatusOr<ScanPage> page = cluster_->Scan(options);
  ASSERT_THAT(page, IsOk());
  ASSERT_EQ(page->entries.size(), 2u);
  ASSERT_THAT(cluster_->Delete("{t}b"), HoldsValue(true));
  Open();
  Set("{t}b2");
  options.cursor = page->cursor;
  EXPECT_THAT(Keys(options), ElementsAre("{t}b2", "{t}c", "{t}d"));
  // The same cursor again.
  EXPECT_THAT(Keys(options), ElementsAre("{t}b2", "{t}c", "{t}d"));
}

TEST_F(KeyspaceScanTest, PagesAreBoundedByBytesToo) {
  const std::string value(size_t{3} << 20, 'v');
  for (int i = 0; i < 7; ++i) Set(absl::StrCat("{t}", i), value);
  ScanOptions options;
  EXPECT_EQ(Keys(options).size(), 7u);
  EXPECT_EQ(pages_, 1) << "keys alone are small";
  options.values = true;
  const auto entries = ScanAll(options, [] { return size_t{1000}; });
  ASSERT_EQ(entries.size(), 7u);
  for (const ScanEntry& entry : entries) EXPECT_EQ(entry.value, value);
  EXPECT_EQ(pages_, 3) << "of 9, 9 and 3 MiB";
}

TEST_F(KeyspaceScanTest, LimitsHaveBounds) {
  ScanOptions options;
  for (const size_t limit : {size_t{0}, kMaxScanLimit + 1, SIZE_MAX}) {
    options.limit = limit;
    EXPECT_THAT(cluster_->Scan(options),
                HasError(absl::StatusCode::kInvalidArgument, "ScanOptions.limit is "));
  }
}

TEST_F(KeyspaceScanTest, WhatIsNoCursorIsRefused) {
  for (const char* const key : {"{t}a", "{t}b"}) Set(key);
  ScanOptions options;
  options.limit = 1;
  const std::string cursor = cluster_->Scan(options)->cursor;
  const auto refused = [&](std::string_view bytes) {
    options.cursor = std::string(bytes);
    EXPECT_THAT(cluster_->Scan(options),
                HasError(absl::StatusCode::kInvalidArgument, "ScanOptions.cursor"))
        << ToHex(bytes);
  };
  for (size_t size = 1; size < 3; ++size) refused(std::string_view(cursor).substr(0, size));
  std::string bad = cursor;
  bad[0] = 2;
  refused(bad);
  bad = cursor;
  bad[1] = 0x40;  // slot 16384
  bad[2] = 0;
  refused(bad);
  refused(cursor + std::string(kMaxKeyBytes, 'k'));
  refused("0");
  // Anything else is taken for one, and does no harm.
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = cursor;
    for (uint64_t flips = random() % 4; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    options.cursor = bytes;
    options.prefix = random() % 2 == 0 ? "" : "{t}";
    const absl::StatusOr<ScanPage> page = cluster_->Scan(options);
    ASSERT_TRUE(page.ok() || absl::IsInvalidArgument(page.status())) << page.status();
  }
}

TEST_F(KeyspaceScanTest, AClosedClusterIsNotScanned) {
  ASSERT_THAT(cluster_->Close(), IsOk());
  EXPECT_THAT(cluster_->Scan(), HasCode(absl::StatusCode::kCancelled));
}

// Keys come and go between the pages; those that stay are seen, once and in their order.
TEST_F(KeyspaceScanTest, KeysThatStayAreSeenOnce) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 15; ++round) {
    std::set<std::string> there, stayed;
    const auto random_key = [&] { return absl::StrCat("{", random() % 8, "}", random() % 100); };
    const auto change = [&] {
      const std::string key = random_key();
      if (random() % 2 == 0) {
        Set(key);
        there.insert(key);
      } else {
        ASSERT_THAT(cluster_->Delete(key), IsOk());
        there.erase(key);
        stayed.erase(key);
      }
    };
    ASSERT_THAT(cluster_->DeleteAll(), IsOk());
    for (int i = 0; i < 600; ++i) change();
    stayed = there;
    std::vector<std::string> seen;
    for (const ScanEntry& entry : ScanAll({}, [&] {
           for (int i = 0; i < 10; ++i) change();
           if (random() % 5 == 0) {
             EXPECT_THAT(FlushStores(cluster_.get()), IsOk());
           }
           return 1 + random() % 30;
         })) {
      seen.push_back(entry.key);
    }
    EXPECT_EQ(seen, InOrder(seen));
    std::set<std::string> once(seen.begin(), seen.end());
    EXPECT_EQ(once.size(), seen.size()) << "a key twice";
    for (const std::string& key : stayed) EXPECT_EQ(once.count(key), 1u) << key;
  }
}

}  // namespace
}  // namespace slotkv
