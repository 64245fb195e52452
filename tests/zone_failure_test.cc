// Each zone in turn is lost, fails or hangs, the one that shares its disk with the cluster's own
// directory included: every slot goes on being served, and no acknowledged write is lost.
#include <filesystem>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/background_writes.h"
#include "tests/replicated_cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

// A key for each slot.
const std::vector<std::string>& KeyOfEverySlot() {
  static const auto* const keys = [] {
    auto* const found = new std::vector<std::string>(kSlotCount);
    int missing = kSlotCount;
    for (int i = 0; missing > 0; ++i) {
      const std::string key = absl::StrCat("slot", i);
      std::string& known = (*found)[SlotForKey(key)];
      if (!known.empty()) continue;
      known = key;
      --missing;
    }
    return found;
  }();
  return *keys;
}

class ZoneFailureTest : public ReplicatedCluster,
                        public testing::WithParamInterface<std::tuple<Fsync, std::string>> {
 protected:
  // Only zone-a is below the cluster's directory.
  ZoneFailureTest() : zone_(std::get<1>(GetParam())) {
    options_.fsync = std::get<0>(GetParam());
    for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
      options_.zones.push_back({zone, RootOf(zone)});
    }
  }
  ~ZoneFailureTest() override { hook_->Heal(); }

  std::string RootOf(const std::string& zone) const {
    return zone == "zone-a" ? path_ + "/zone-a" : directory_.Path(zone);
  }
  // What is on the zone's disk: with zone-a the cluster's own directory, too.
  std::string DiskOf(const std::string& zone) const {
    return zone == "zone-a" ? path_ : directory_.Path(zone);
  }

  void SetEverySlot(const std::string& value) {
    std::vector<KeyValue> writes;
    for (const std::string& key : KeyOfEverySlot()) writes.push_back({key, value});
    for (const absl::Status& status : cluster_->MultiSet(writes)) ASSERT_THAT(status, IsOk());
  }
  void ExpectEverySlot(const std::string& value) {
    const std::vector<std::string_view> keys(KeyOfEverySlot().begin(), KeyOfEverySlot().end());
    for (const absl::StatusOr<std::string>& found : cluster_->MultiGet(keys)) {
      ASSERT_THAT(found, HoldsValue(value));
    }
  }
  bool IsServedByOthersOnly() {
    for (const NodeInfo& node : Nodes()) {
      if (node.zone == zone_ && (node.in_sync || node.role == Role::kPrimary)) return false;
    }
    return true;
  }

  // `break_zone` makes the zone's disk useless, `mend` undoes it.
  void LoseWhileOpen(const std::function<void()>& break_zone, const std::function<void()>& mend) {
    OpenHooked();
    SetEverySlot("before");
    // So that reads are of tables, too.
    ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    absl::Cleanup always_mend = mend;
    BackgroundWrites load(cluster_.get(), "load");
    ASSERT_TRUE(Eventually([&] { return load.count() > 200; }));
    break_zone();
    ASSERT_TRUE(Eventually([&] { return IsServedByOthersOnly(); }));
    ExpectEverySlot("before");
    SetEverySlot("without");
    ExpectEverySlot("without");
    const int count = load.count();
    EXPECT_TRUE(Eventually([&] { return load.count() > count + 100; }));
    std::move(always_mend).Invoke();
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
    load.Stop();
    load.ExpectAllThere(cluster_.get());
    ExpectEverySlot("without");
    EXPECT_THAT(cluster_->Verify(), IsOk());
    Close();
    Open();
    load.ExpectAllThere(cluster_.get());
    ExpectEverySlot("without");
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }

  const std::string zone_;
};

TEST_P(ZoneFailureTest, LostWhileClosed) {
  Open();
  SetEverySlot("before");
  Close();
  const std::string away = directory_.Path("away");
  fs::rename(RootOf(zone_), away);
  Open();
  EXPECT_TRUE(IsServedByOthersOnly());
  ExpectEverySlot("before");
  SetEverySlot("without");
  Close();
  // Again, so that nothing but the others' copies can tell.
  Open();
  ExpectEverySlot("without");
  Close();
  EXPECT_FALSE(fs::exists(RootOf(zone_)));
  fs::rename(away, RootOf(zone_));
  Open();
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  ExpectEverySlot("without");
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_P(ZoneFailureTest, FailsUnderLoad) {
  const std::string disk = DiskOf(zone_) + "/";
  LoseWhileOpen(
      [&] {
        hook_->SetBefore([disk](FileOp, const std::string& path) {
          return absl::StartsWith(path, disk) ? absl::UnavailableError("broken") : absl::OkStatus();
        });
      },
      [&] { hook_->Heal(); });
}

TEST_P(ZoneFailureTest, HangsUnderLoad) {
  options_.node_timeout = absl::Milliseconds(300);
  const std::string disk = DiskOf(zone_) + "/";
  absl::Notification go_on;
  LoseWhileOpen(
      [&] {
        hook_->SetBefore([disk, &go_on](FileOp op, const std::string& path) {
          // These are made on the callers' threads: a record is copied into mapped memory, and a
          // block that is not in the cache is read.
          const bool is_inline =
              op == FileOp::kRead || (op == FileOp::kWrite && absl::StrContains(path, "/log/"));
          if (absl::StartsWith(path, disk) && !is_inline) go_on.WaitForNotification();
          return absl::OkStatus();
        });
      },
      [&] {
        hook_->Heal();
        go_on.Notify();
      });
}

INSTANTIATE_TEST_SUITE_P(EachZone, ZoneFailureTest,
                         testing::Combine(testing::Values(Fsync::kEverySecond, Fsync::kAlways),
                                          testing::Values("zone-a", "zone-b", "zone-c")));

}  // namespace
}  // namespace slotkv
