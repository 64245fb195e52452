#include "shard/mutations.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/hash_mutations.h"
#include "shard/hash_value.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

// What one store, then another, shows of a key.
class FakeView final : public GroupView {
 public:
  absl::Status Get(uint16_t, std::string_view key, ValueHeader* header,
                   std::string* payload) override {
    const auto it = values.find(std::string(key));
    if (it == values.end()) return absl::Status(absl::StatusCode::kNotFound, "");
    *header = {type, 0};
    *payload = it->second;
    return absl::OkStatus();
  }
  uint64_t now_ms() const override { return 1000; }

  ValueType type = ValueType::kString;
  std::map<std::string, std::string> values;
};

const KeyTarget kTarget = {1, "key", /*loads=*/nullptr};

// Mutation::Evaluate may be called again, as if for the first time.
TEST(MutationsTest, ASecondEvaluationStartsAnew) {
  FakeView view;
  std::string effects;
  DeleteMutation deletes(kTarget);
  view.values["key"] = "value";
  EXPECT_THAT(deletes.Evaluate(&view, &effects), IsOk());
  EXPECT_TRUE(deletes.existed());
  view.values.clear();
  EXPECT_THAT(deletes.Evaluate(&view, &effects), IsOk());
  EXPECT_FALSE(deletes.existed());

  const std::vector<Field> fields = {{"a", "1"}, {"b", "2"}};
  HashSetMutation sets(kTarget, fields, absl::InfiniteDuration(), absl::InfiniteDuration());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(sets.Evaluate(&view, &effects), IsOk());
    EXPECT_EQ(sets.added(), 2u);
  }

  HashFields hash;
  hash.Set("a", "1");
  view.type = ValueType::kHash;
  view.values["key"] = hash.Encode();
  const std::vector<std::string_view> names = {"a", "c"};
  HashDeleteMutation removes(kTarget, names);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(removes.Evaluate(&view, &effects), IsOk());
    EXPECT_EQ(removes.removed(), 1u);
  }
  view.values.clear();
  EXPECT_THAT(removes.Evaluate(&view, &effects), IsOk());
  EXPECT_EQ(removes.removed(), 0u);
}

}  // namespace
}  // namespace slotkv
