// A store, or a node, in a directory of its own, with disk and clock in the test's hands.
#ifndef SLOTKV_ENGINE_STORE_TEST_SUPPORT_H_
#define SLOTKV_ENGINE_STORE_TEST_SUPPORT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/disk.h"
#include "engine/effects.h"
#include "engine/expiry_clock.h"
#include "engine/store.h"
#include "engine/store_resources.h"
#include "tests/fake_clock.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {

// The effects of one put, of one delete, or of one clear.
inline std::string PutEffect(uint16_t slot, std::string_view key, std::string_view payload,
                             uint64_t expiry_ms = 0) {
  std::string effects;
  AppendPut(slot, key, {ValueType::kString, expiry_ms}, payload, &effects);
  return effects;
}
inline std::string DeleteEffect(uint16_t slot, std::string_view key) {
  std::string effects;
  AppendDelete(slot, key, &effects);
  return effects;
}
inline std::string ClearEffect(uint16_t first, uint16_t last) {
  std::string effects;
  AppendClear(first, last, &effects);
  return effects;
}
inline std::string ClearEffect(uint16_t slot) { return ClearEffect(slot, slot); }

// The table files of a store, in order.
inline std::vector<std::string> TableFiles(const std::string& directory) {
  std::vector<std::string> paths;
  const auto names = Disk().List(directory);
  if (!names.ok()) return paths;
  for (const std::string& name : *names) {
    if (name.size() > 4 && name.substr(name.size() - 4) == ".sst") {
      paths.push_back(JoinPath(directory, name));
    }
  }
  return paths;
}

class TestStore {
 public:
  absl::Status Open(bool create = true) {
    store.reset();
    StoreOptions options;
    options.disk = &disk;
    options.resources = &resources;
    options.clock = &expiry_clock;
    options.directory = directory;
    options.create = create;
    options.sync_log = [this] {
      ++log_syncs;
      return sync_status;
    };
    auto opened = Store::Open(options);
    if (!opened.ok()) return opened.status();
    store = *std::move(opened);
    return absl::OkStatus();
  }

  absl::Status Apply(std::string_view effects) {
    Store::Batch batch;
    if (absl::Status status = batch.Add(effects); !status.ok()) return status;
    return store->Apply(&batch);
  }
  absl::Status Put(uint16_t slot, std::string_view key, std::string_view payload,
                   uint64_t expiry_ms = 0) {
    return Apply(PutEffect(slot, key, payload, expiry_ms));
  }
  absl::Status Note(uint64_t index) {
    Store::Batch batch;
    batch.NoteProgress(LogIndex(index));
    return store->Apply(&batch);
  }
  // The live payload.
  absl::StatusOr<std::string> Get(uint16_t slot, std::string_view key) const {
    ValueHeader header;
    std::string payload;
    absl::Status status = store->Get(slot, key, expiry_clock.NowMs(), &header, &payload);
    if (!status.ok()) return status;
    return payload;
  }

  const TemporaryDirectory root;
  const std::string directory = root.Path("node/store");
  const std::shared_ptr<TestHook> hook = std::make_shared<TestHook>();
  const Disk disk{hook};
  const StoreResources resources{size_t{8} << 20};
  ManualClock clock;
  ExpiryClock expiry_clock{&clock, 0};
  std::atomic<int> log_syncs{0};
  absl::Status sync_status;  // what the log's sync says
  std::unique_ptr<Store> store;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_STORE_TEST_SUPPORT_H_
