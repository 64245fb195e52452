// A node in a directory of its own, with disk and clock in the test's hands.
#ifndef SLOTKV_ENGINE_NODE_TEST_SUPPORT_H_
#define SLOTKV_ENGINE_NODE_TEST_SUPPORT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/disk.h"
#include "engine/expiry_clock.h"
#include "engine/node.h"
#include "engine/record.h"
#include "engine/store_resources.h"
#include "engine/store_test_support.h"
#include "engine/worker_pool.h"
#include "tests/fake_clock.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {

class TestNode {
 public:
  // `seed` tells one test's nodes apart.
  explicit TestNode(uint32_t seed = 1) {
    options.disk = &disk;
    options.workers = &workers;
    options.resources = &resources;
    options.directory = root.Path("node");
    options.identity.cluster.fill(0xc1);
    options.identity.shard = ShardId(seed);
    options.identity.node = NodeId(seed);
    options.log.min_segment_bytes = 16384;
    options.log.max_segment_bytes = size_t{1} << 20;
  }

  absl::Status Create() {
    absl::Status status = Node::Create(options);
    return status.ok() ? Open() : status;
  }
  // Closes the node, if it is open, as a crash of the process does: nothing is flushed or synced.
  absl::Status Open() {
    node.reset();
    auto opened = Node::Open(options);
    if (!opened.ok()) return opened.status();
    std::unique_ptr<Node> found = *std::move(opened);
    expiry_clock = std::make_unique<ExpiryClock>(&clock, found->highest_clock_ms());
    if (absl::Status status = found->Recover(expiry_clock.get()); !status.ok()) return status;
    node = std::move(found);
    return absl::OkStatus();
  }

  // Logs and applies one record, as a group does.
  absl::Status Write(std::string_view effects, RecordKind kind = RecordKind::kWrite) {
    Record record;
    record.position = {epoch, node->log().last().index.Next()};
    record.commit = node->log().last().index;
    record.clock_ms = expiry_clock->NowMs();
    record.kind = kind;
    record.payload = effects;
    absl::Status status = node->Reserve(EncodedRecordSize(effects.size()), absl::Seconds(60));
    if (status.ok()) status = node->Append({record});
    if (status.ok()) status = node->Apply({record});
    // The store stalls writes for a moment.
    while (absl::IsResourceExhausted(status) && node->WriteError().ok()) status = node->ApplyRest();
    return status;
  }
  absl::Status Put(uint16_t slot, std::string_view key, std::string_view payload,
                   uint64_t expiry_ms = 0) {
    return Write(PutEffect(slot, key, payload, expiry_ms));
  }
  // `count` keys of 1000 bytes in slot 1.
  absl::Status PutMany(int count) {
    for (int i = 0; i < count; ++i) {
      if (absl::Status status = Put(1, "key" + std::to_string(puts++), std::string(1000, 'v'));
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Get(uint16_t slot, std::string_view key) const {
    ValueHeader header;
    std::string payload;
    absl::Status status = node->store().Get(slot, key, expiry_clock->NowMs(), &header, &payload);
    if (!status.ok()) return status;
    return payload;
  }

  std::string log_directory() const { return options.directory + "/log"; }
  std::string store_directory() const { return options.directory + "/store"; }
  // The files of the log, in order.
  std::vector<std::string> LogFiles() const {
    std::vector<std::string> paths;
    const auto names = Disk().List(log_directory());
    if (!names.ok()) return paths;
    for (const std::string& name : *names) paths.push_back(JoinPath(log_directory(), name));
    return paths;
  }

  const TemporaryDirectory root;
  const std::shared_ptr<TestHook> hook = std::make_shared<TestHook>();
  const Disk disk{hook};
  WorkerPool workers{2};
  const StoreResources resources{size_t{16} << 20};
  NodeOptions options;
  ManualClock clock;
  std::unique_ptr<ExpiryClock> expiry_clock;
  ShardEpoch epoch{1};
  int puts = 0;
  std::unique_ptr<Node> node;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_NODE_TEST_SUPPORT_H_
