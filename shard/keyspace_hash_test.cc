// Hashes: fields of one key.
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;

constexpr absl::StatusCode kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kInvalidArgument = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kResourceExhausted = absl::StatusCode::kResourceExhausted;

class KeyspaceHashTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  // "name=value name=value", or why not.
  std::string All(std::string_view key = "h") {
    const absl::StatusOr<std::vector<HashField>> fields = cluster_->HashGetAll(key);
    if (!fields.ok()) return absl::StatusCodeToString(fields.status().code());
    std::string text;
    for (const HashField& field : *fields) {
      absl::StrAppend(&text, text.empty() ? "" : " ", field.name, "=", field.value);
    }
    return text;
  }
  absl::StatusOr<uint64_t> SetLiving(absl::Duration ttl, absl::Span<const Field> fields) {
    HashSetOptions options;
    options.ttl = ttl;
    return cluster_->HashSet("h", fields, options);
  }
};

TEST_F(KeyspaceHashTest, SetsGetsAndDeletesFields) {
  EXPECT_EQ(All(), "NOT_FOUND");
  EXPECT_THAT(cluster_->HashGet("h", "name"), IsMissing());
  EXPECT_THAT(cluster_->HashGetAll("h"), IsMissing());
  EXPECT_THAT(cluster_->HashDelete("h", {"name"}), HoldsValue(0u));
  EXPECT_THAT(cluster_->Exists("h"), HoldsValue(false));

  EXPECT_THAT(cluster_->HashSet("h", {{"name", "Ann"}, {"age", "7"}}), HoldsValue(2u));
  EXPECT_THAT(cluster_->HashSet("h", {{"age", "8"}, {"city", "Ulm"}}), HoldsValue(1u));
  EXPECT_EQ(All(), "age=8 city=Ulm name=Ann") << "bytewise by name";
  EXPECT_THAT(cluster_->HashGet("h", "age"), HoldsValue("8"));
  EXPECT_THAT(cluster_->HashGet("h", "city"), HoldsValue("Ulm"));
  EXPECT_THAT(cluster_->HashGet("h", "name"), HoldsValue("Ann"));
  for (const char* const other : {"", "a", "ag", "agf", "b", "names", "\xff"}) {
    EXPECT_THAT(cluster_->HashGet("h", other), IsMissing());
  }
  ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
  EXPECT_THAT(cluster_->HashDelete("h", {"none", "age", "age", "city"}), HoldsValue(2u));
  EXPECT_EQ(All(), "name=Ann");
  Open();
  EXPECT_EQ(All(), "name=Ann");
  EXPECT_THAT(cluster_->HashDelete("h", {}), HoldsValue(0u));
  EXPECT_THAT(cluster_->HashDelete("h", {"other"}), HoldsValue(0u));
  EXPECT_EQ(All(), "name=Ann");
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(KeyspaceHashTest, WithoutItsLastFieldTheKeyIsGone) {
  ASSERT_THAT(cluster_->HashSet("h", {{"a", "1"}, {"b", "2"}}), IsOk());
  EXPECT_THAT(cluster_->HashDelete("h", {"b", "a"}), HoldsValue(2u));
  EXPECT_THAT(cluster_->Exists("h"), HoldsValue(false));
  EXPECT_EQ(All(), "NOT_FOUND");
  EXPECT_THAT(cluster_->Set("h", "a string now"), IsOk());
  EXPECT_THAT(cluster_->Get("h"), HoldsValue("a string now"));
}

TEST_F(KeyspaceHashTest, NamesAndValuesAreBinary) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string zero(1, '\0');
  EXPECT_THAT(cluster_->HashSet("h", {{"", ""}, {zero, all}, {all, zero}, {"\xff", "="}}),
              HoldsValue(4u));
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(cluster_->HashGet("h", ""), HoldsValue(""));
    EXPECT_THAT(cluster_->HashGet("h", zero), HoldsValue(all));
    EXPECT_THAT(cluster_->HashGet("h", all), HoldsValue(zero));
    EXPECT_THAT(*cluster_->HashGetAll("h"),
                ElementsAre(HashField{"", ""}, HashField{zero, all}, HashField{all, zero},
                            HashField{"\xff", "="}));
    Open();
  }
}

TEST_F(KeyspaceHashTest, ANameThatStandsThereTwice) {
  EXPECT_THAT(cluster_->HashSet("h", {{"a", "1"}, {"b", "2"}, {"a", "3"}}), HoldsValue(2u));
  EXPECT_EQ(All(), "a=3 b=2");
  EXPECT_THAT(cluster_->HashSet("h", {{"a", "4"}, {"a", "5"}}), HoldsValue(0u));
  EXPECT_EQ(All(), "a=5 b=2");
}

TEST_F(KeyspaceHashTest, RefusesNoFieldsAndWrongExpiries) {
  EXPECT_THAT(cluster_->HashSet("h", {}), HasError(kInvalidArgument, "at least one field"));
  for (const absl::Duration ttl : {absl::ZeroDuration(), absl::Seconds(-1)}) {
    EXPECT_THAT(SetLiving(ttl, {{"a", "1"}}), HasError(kInvalidArgument, "HashSetOptions.ttl"));
  }
  EXPECT_EQ(All(), "NOT_FOUND");
}

TEST_F(KeyspaceHashTest, ExpiresAsAWhole) {
  EXPECT_THAT(SetLiving(absl::Seconds(10), {{"a", "1"}}), HoldsValue(1u));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(10)));
  clock_->Advance(absl::Seconds(4));
  // Without one of its own a write keeps it; with one, all fields get it.
  EXPECT_THAT(cluster_->HashSet("h", {{"b", "2"}}), HoldsValue(1u));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(6)));
  EXPECT_THAT(SetLiving(absl::Seconds(20), {{"b", "3"}}), HoldsValue(0u));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(20)));
  EXPECT_THAT(cluster_->HashDelete("h", {"a"}), HoldsValue(1u));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(20)));
  clock_->Advance(absl::Seconds(20));
  EXPECT_EQ(All(), "NOT_FOUND");
  EXPECT_THAT(cluster_->HashGet("h", "b"), IsMissing());
  EXPECT_THAT(cluster_->HashDelete("h", {"b"}), HoldsValue(0u));
  // Made anew, without what was there.
  EXPECT_THAT(cluster_->HashSet("h", {{"c", "4"}}), HoldsValue(1u));
  EXPECT_EQ(All(), "c=4");
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::InfiniteDuration()));
}

TEST_F(KeyspaceHashTest, TheDefaultExpiryIsForNewOnes) {
  ASSERT_THAT(cluster_->HashSet("h", {{"a", "1"}}), IsOk());
  options_.default_ttl = absl::Seconds(7);
  Open();
  ASSERT_THAT(cluster_->HashSet("h", {{"b", "2"}}), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::InfiniteDuration()));
  ASSERT_THAT(cluster_->HashSet("new", {{"b", "2"}}), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("new"), HoldsValue(absl::Seconds(7)));
  clock_->Advance(absl::Seconds(3));
  ASSERT_THAT(cluster_->HashSet("new", {{"c", "3"}}), IsOk());
  EXPECT_THAT(cluster_->TimeToLive("new"), HoldsValue(absl::Seconds(4)));
}

TEST_F(KeyspaceHashTest, WhatTakesEveryType) {
  ASSERT_THAT(cluster_->HashSet("h", {{"a", "1"}}), IsOk());
  EXPECT_THAT(cluster_->Exists("h"), HoldsValue(true));
  EXPECT_THAT(cluster_->Expire("h", absl::Seconds(5)), HoldsValue(true));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(5)));
  EXPECT_THAT(cluster_->Persist("h"), HoldsValue(true));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::InfiniteDuration()));
  EXPECT_EQ(All(), "a=1") << "an expiry changes no field";
  EXPECT_THAT(*cluster_->KeysInSlot(SlotForKey("h"), 5), ElementsAre("h"));
  SetOptions keep;
  keep.keep_ttl = true;
  ASSERT_THAT(cluster_->Expire("h", absl::Seconds(5)), IsOk());
  EXPECT_THAT(cluster_->Set("h", "a string", keep), IsOk());
  EXPECT_THAT(cluster_->Get("h"), HoldsValue("a string"));
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(5)));
  ASSERT_THAT(cluster_->Delete("h"), HoldsValue(true));
  ASSERT_THAT(cluster_->HashSet("h", {{"a", "1"}}), IsOk());
  EXPECT_THAT(cluster_->Delete("h"), HoldsValue(true));
  EXPECT_EQ(All(), "NOT_FOUND");
  ASSERT_THAT(cluster_->HashSet("h", {{"a", "1"}}), IsOk());
  EXPECT_THAT(cluster_->Expire("h", absl::ZeroDuration()), HoldsValue(true));
  EXPECT_EQ(All(), "NOT_FOUND");
}

TEST_F(KeyspaceHashTest, CallsForStringsRefuseHashes) {
  ASSERT_THAT(SetLiving(absl::Seconds(5), {{"a", "1"}}), IsOk());
  std::string value;
  const auto refused = HasError(kFailedPrecondition, "another type");
  EXPECT_THAT(cluster_->Get("h"), refused);
  EXPECT_THAT(cluster_->Get("h", &value), refused);
  EXPECT_THAT(cluster_->Increment("h", 1), refused);
  EXPECT_THAT(cluster_->Append("h", "x"), refused);
  EXPECT_THAT(cluster_->SetRange("h", 0, "x"), refused);
  EXPECT_THAT(cluster_->SetRange("h", 0, ""), refused);
  EXPECT_THAT(cluster_->CompareAndSet("h", "x", "y"), refused);
  EXPECT_THAT(cluster_->GetAndTouch("h", absl::Seconds(50)), refused);
  EXPECT_THAT(cluster_->GetOrLoad(
                  "h", [](std::string_view) -> absl::StatusOr<std::string> { return "loaded"; }),
              refused);
  EXPECT_EQ(All(), "a=1");
  EXPECT_THAT(cluster_->TimeToLive("h"), HoldsValue(absl::Seconds(5)));
}

TEST_F(KeyspaceHashTest, CallsForHashesRefuseStrings) {
  ASSERT_THAT(cluster_->Set("h", "string"), IsOk());
  const auto refused = HasError(kFailedPrecondition, "another type");
  EXPECT_THAT(cluster_->HashSet("h", {{"a", "1"}}), refused);
  EXPECT_THAT(cluster_->HashGet("h", "a"), refused);
  EXPECT_THAT(cluster_->HashGetAll("h"), refused);
  EXPECT_THAT(cluster_->HashDelete("h", {"a"}), refused);
  EXPECT_THAT(cluster_->HashDelete("h", {}), refused);
  EXPECT_THAT(cluster_->Get("h"), HoldsValue("string"));
}

// ---- How much it holds ----

TEST_F(KeyspaceHashTest, AtMostSixteenMegabytes) {
  const size_t overhead = 16;  // of each field
  const std::string half(kMaxHashBytes / 2, 'v');
  const std::string rest(kMaxHashBytes - half.size() - 2 * (1 + overhead), 'w');
  const auto beyond = HasError(kResourceExhausted, "would exceed 16777216");
  // At once, and field by field.
  EXPECT_THAT(cluster_->HashSet("h", {{"a", half}, {"b", rest}}), HoldsValue(2u));
  EXPECT_THAT(cluster_->HashSet("h", {{"", ""}}), beyond);
  EXPECT_THAT(cluster_->HashSet("h", {{"b", absl::StrCat(rest, "w")}}),
              HasError(kResourceExhausted, "a hash of 16777217 bytes would exceed 16777216"));
  EXPECT_THAT(cluster_->HashSet("h", {{"b", ""}, {"c", absl::StrCat(rest, "w")}}), beyond);
  EXPECT_THAT(cluster_->HashGet("h", "b"), HoldsValue(rest));
  EXPECT_THAT(cluster_->HashGet("h", ""), IsMissing());
  // What is shorter fits.
  EXPECT_THAT(cluster_->HashSet("h", {{"b", "short"}, {"c", "d"}}), HoldsValue(1u));
  EXPECT_THAT(cluster_->HashSet("h", {{"b", rest}}), beyond);
  EXPECT_THAT(cluster_->HashDelete("h", {"c"}), HoldsValue(1u));
  EXPECT_THAT(cluster_->HashSet("h", {{"b", rest}}), HoldsValue(0u));
  Open();
  EXPECT_THAT(cluster_->HashGet("h", "a"), HoldsValue(half));
  EXPECT_THAT(cluster_->HashGet("h", "b"), HoldsValue(rest));
}

TEST_F(KeyspaceHashTest, FieldsThatAloneAreTooMany) {
  const std::string much(kMaxHashBytes, 'v');
  EXPECT_THAT(cluster_->HashSet("h", {{"a", much}}),
              HasError(kResourceExhausted, "a hash of 16777233 bytes would exceed 16777216"));
  EXPECT_EQ(All(), "NOT_FOUND");
  // A name that stands there twice counts once, with its last value.
  const std::string most(kMaxHashBytes - 17, 'v');
  EXPECT_THAT(cluster_->HashSet("h", {{"a", much}, {"a", most}}), HoldsValue(1u));
  EXPECT_THAT(cluster_->HashGet("h", "a"), HoldsValue(most));
  EXPECT_THAT(cluster_->HashSet("h", {{"a", "x"}, {"a", much}}), HasCode(kResourceExhausted));
  EXPECT_THAT(cluster_->HashGet("h", "a"), HoldsValue(most));
}

TEST_F(KeyspaceHashTest, ManyFields) {
  std::vector<std::string> names;
  for (int i = 0; i < 10000; ++i) names.push_back(absl::StrCat("field", i));
  std::vector<Field> fields;
  for (const std::string& name : names) fields.push_back({name, name});
  EXPECT_THAT(cluster_->HashSet("h", fields), HoldsValue(10000u));
  EXPECT_THAT(cluster_->HashGet("h", "field9999"), HoldsValue("field9999"));
  const std::vector<std::string_view> half(names.begin(), names.begin() + 5000);
  EXPECT_THAT(cluster_->HashDelete("h", half), HoldsValue(5000u));
  EXPECT_EQ(cluster_->HashGetAll("h")->size(), 5000u);
  EXPECT_THAT(cluster_->HashGet("h", "field4999"), IsMissing());
}

}  // namespace
}  // namespace slotkv
