// Hashes: one key that holds fields, written as a whole and expiring as a whole.
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"

#define CHECK(condition) \
  if (!(condition)) std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition "\n", std::exit(1)

int main() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/hashes";
  CHECK(slotkv::Cluster::Destroy(path).ok());  // what an earlier run has left
  auto opened = slotkv::Cluster::Open(slotkv::Options(), path);
  CHECK(opened.ok());
  slotkv::Cluster& cluster = **opened;

  // The answer is how many of the fields are new.
  slotkv::HashSetOptions one_day;
  one_day.ttl = absl::Hours(24);
  CHECK(*cluster.HashSet("cart:7", {{"pear", "2"}, {"apple", "1"}}, one_day) == 2);
  CHECK(*cluster.HashSet("cart:7", {{"apple", "3"}, {"fig", "5"}}) == 1);
  CHECK(*cluster.HashGet("cart:7", "apple") == "3");
  CHECK(absl::IsNotFound(cluster.HashGet("cart:7", "plum").status()));
  CHECK(absl::IsNotFound(cluster.HashGet("cart:8", "apple").status()));

  // All fields come in the order of their names.
  const std::vector<slotkv::HashField> expected = {{"apple", "3"}, {"fig", "5"}, {"pear", "2"}};
  CHECK(*cluster.HashGetAll("cart:7") == expected);

  // The expiry is the hash's; a write without ttl has kept it.
  const absl::Duration left = *cluster.TimeToLive("cart:7");
  CHECK(left > absl::Hours(23) && left <= absl::Hours(24));
  CHECK(*cluster.Persist("cart:7"));
  CHECK(*cluster.TimeToLive("cart:7") == absl::InfiniteDuration());

  // The last field takes the key with it.
  CHECK(*cluster.HashDelete("cart:7", {"apple", "plum"}) == 1);
  CHECK(*cluster.HashDelete("cart:7", {"fig", "pear"}) == 2);
  CHECK(!*cluster.Exists("cart:7"));
  CHECK(*cluster.HashDelete("cart:7", {"fig"}) == 0);

  // A key holds a string or a hash; Set replaces either.
  CHECK(*cluster.HashSet("k", {{"field", "value"}}) == 1);
  CHECK(absl::IsFailedPrecondition(cluster.Get("k").status()));
  CHECK(absl::IsFailedPrecondition(cluster.Increment("k", 1).status()));
  CHECK(cluster.Set("k", "a string now").ok());
  CHECK(absl::IsFailedPrecondition(cluster.HashGetAll("k").status()));
  CHECK(absl::IsFailedPrecondition(cluster.HashSet("k", {{"field", "value"}}).status()));
  CHECK(absl::IsInvalidArgument(cluster.HashSet("none", {}).status()));

  // The bound counts 16 bytes for each field; beyond it nothing is changed.
  const std::string half(slotkv::kMaxHashBytes / 2 - 1 - 16, 'x');
  CHECK(*cluster.HashSet("large", {{"a", half}, {"b", half}}) == 2);
  CHECK(absl::IsResourceExhausted(cluster.HashSet("large", {{"c", ""}}).status()));
  CHECK(cluster.HashGetAll("large")->size() == 2);
  CHECK(cluster.Close().ok());
}
