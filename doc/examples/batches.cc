// Many keys: hash tags, batches that are applied as a whole, conditions, and calls on many keys.
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "slotkv/cluster.h"

#define CHECK(condition) \
  if (!(condition)) std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition "\n", std::exit(1)

int main() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/batches";
  CHECK(slotkv::Cluster::Destroy(path).ok());  // what an earlier run has left
  auto opened = slotkv::Cluster::Open(slotkv::Options(), path);
  CHECK(opened.ok());
  slotkv::Cluster& cluster = **opened;

  // What stands between { and } decides the slot, so these two keys can share a batch.
  CHECK(slotkv::SlotForKey("{user:1}:name") == slotkv::SlotForKey("{user:1}:mail"));
  CHECK(slotkv::HashTag("{user:1}:name") == "user:1");

  // A user is registered as a whole, once.
  slotkv::SetOptions if_absent;
  if_absent.condition = slotkv::SetCondition::kIfAbsent;
  slotkv::WriteBatch registration;
  registration.Set("{user:1}:name", "alice", if_absent);
  registration.Set("{user:1}:mail", "alice@example.com");
  registration.Delete("{user:1}:invitation");
  CHECK(registration.size() == 3);
  CHECK(cluster.Write(registration).ok());

  // The first write of this batch would do, the second one's condition does not hold: nothing is
  // applied.
  slotkv::WriteBatch again;
  again.Set("{user:1}:mail", "mallory@example.com");
  again.Set("{user:1}:name", "mallory", if_absent);
  CHECK(absl::IsFailedPrecondition(cluster.Write(again)));
  CHECK(*cluster.Get("{user:1}:mail") == "alice@example.com");

  // Keys of two slots have no batch in common.
  again.Clear();
  again.Set("{user:1}:friend", "2");
  again.Set("{user:2}:friend", "1");
  const absl::Status crossing = cluster.Write(again);
  CHECK(absl::IsInvalidArgument(crossing) && absl::StartsWith(crossing.message(), "CROSSSLOT"));

  // Calls on many keys take keys of any slots; each key has its own outcome.
  const std::vector<slotkv::KeyValue> settings = {
      {"color", "green"}, {"size", "42"}, {std::string_view(), "the empty key is a key"}};
  for (const absl::Status& status : cluster.MultiSet(settings)) CHECK(status.ok());
  const auto values = cluster.MultiGet({"size", "missing", "color"});
  CHECK(*values[0] == "42" && *values[2] == "green");
  CHECK(absl::IsNotFound(values[1].status()));
  const std::vector<absl::Status> unless_there =
      cluster.MultiSet({{"color", "red"}, {"shape", "round"}}, if_absent);
  CHECK(absl::IsFailedPrecondition(unless_there[0]) && unless_there[1].ok());

  // Conditions on one key.
  CHECK(*cluster.Increment("size", -2) == 40);
  CHECK(absl::IsFailedPrecondition(cluster.Increment("color", 1).status()));
  CHECK(cluster.CompareAndSet("color", "green", "blue").ok());
  CHECK(absl::IsFailedPrecondition(cluster.CompareAndSet("color", "green", "red")));
  CHECK(*cluster.Append("color", " and white") == 14);
  CHECK(*cluster.SetRange("color", 0, "BLUE") == 14);
  CHECK(*cluster.Get("color") == "BLUE and white");

  CHECK(cluster.DeletePrefix("{user:1}:").ok());
  CHECK(!*cluster.Exists("{user:1}:name") && *cluster.Exists("shape"));
  CHECK(cluster.Close().ok());
}
