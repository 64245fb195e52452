// A log in a directory of its own, and the disk under it in the test's hands.
#ifndef SLOTKV_ENGINE_LOG_TEST_SUPPORT_H_
#define SLOTKV_ENGINE_LOG_TEST_SUPPORT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/disk.h"
#include "engine/log.h"
#include "engine/worker_pool.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {

class TestLog {
 public:
  TestLog() {
    options.min_segment_bytes = 4096;
    options.max_segment_bytes = 16384;
    identity.cluster.fill(0xc1);
    identity.shard = ShardId(3);
    identity.node = NodeId(7);
  }

  absl::Status Create(LogPosition previous = {}, uint64_t clock_ms = 0) {
    return Keep(Log::Create(&disk, &workers, directory, identity, options, previous, clock_ms));
  }
  // Closes the log, if it is open, as a crash of the process does: nothing is synced.
  absl::Status Open() {
    log.reset();
    recovery = LogRecovery();
    return Keep(Log::Open(&disk, &workers, directory, identity, options, &recovery));
  }

  // One group of records with these payloads, behind the last record.
  absl::Status Append(const std::vector<std::string>& payloads) {
    std::vector<Record> records;
    size_t bytes = 0;
    LogIndex index = log->last().index;
    for (const std::string& payload : payloads) {
      index = index.Next();
      Record record;
      record.position = {epoch, index};
      record.commit = log->last().index;
      record.clock_ms = now_ms;
      record.payload = payload;
      records.push_back(record);
      bytes += EncodedRecordSize(payload.size());
    }
    absl::Status status = log->Reserve(bytes, timeout);
    return status.ok() ? log->Append(records, now_ms) : status;
  }
  // `count` records, one by one, each about a tenth of the smallest segment.
  absl::Status AppendMany(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string number = std::to_string(log->last().index.value() + 1);
      absl::Status status = Append({"payload " + number + std::string(340, '.')});
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::Status Sync() { return log->Sync(now_ms); }

  absl::StatusOr<std::vector<std::string>> ReadFrom(LogIndex from) const {
    std::vector<std::string> payloads;
    LogIndex next = from;
    absl::Status status = log->Read(from, [&](const Record& record) {
      if (record.position.index != next) return absl::InternalError("indexes are not in order");
      next = next.Next();
      payloads.emplace_back(record.payload);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return payloads;
  }
  absl::StatusOr<std::vector<std::string>> ReadAll() const { return ReadFrom(log->first()); }

  // The log's files, in order.
  std::vector<std::string> Files() const {
    std::vector<std::string> paths;
    const absl::StatusOr<std::vector<std::string>> names = Disk().List(directory);
    if (!names.ok()) return paths;
    for (const std::string& name : *names) paths.push_back(JoinPath(directory, name));
    return paths;
  }

  const TemporaryDirectory root;
  const std::string directory = root.Path("node/log");
  const std::shared_ptr<TestHook> hook = std::make_shared<TestHook>();
  const Disk disk{hook};
  WorkerPool workers{2};
  LogOptions options;
  LogIdentity identity;
  ShardEpoch epoch{1};
  uint64_t now_ms = 1000;
  absl::Duration timeout = absl::Seconds(60);
  LogRecovery recovery;
  std::unique_ptr<Log> log;

 private:
  absl::Status Keep(absl::StatusOr<std::unique_ptr<Log>> result) {
    if (!result.ok()) return result.status();
    log = *std::move(result);
    return absl::OkStatus();
  }
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_LOG_TEST_SUPPORT_H_
