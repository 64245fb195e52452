// A group over a node in a directory of its own, and writes that are lambdas.
#ifndef SLOTKV_REPLICATION_GROUP_TEST_SUPPORT_H_
#define SLOTKV_REPLICATION_GROUP_TEST_SUPPORT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "engine/node_test_support.h"
#include "replication/group.h"
#include "replication/mutation.h"

namespace slotkv {

class LambdaMutation final : public Mutation {
 public:
  using Function = std::function<absl::Status(GroupView*, std::string*)>;

  explicit LambdaMutation(Function function, size_t bytes = 100)
      : function_(std::move(function)), bytes_(bytes) {}

  absl::Status Evaluate(GroupView* view, std::string* effects) override {
    return function_(view, effects);
  }
  size_t EstimatedBytes() const override { return bytes_; }

 private:
  const Function function_;
  const size_t bytes_;
};

// A shard's only copy.
inline std::unique_ptr<Copies> OneCopy(std::unique_ptr<Node> node, WorkerPool* workers,
                                       const ExpiryClock* clock, absl::Duration operation_timeout) {
  std::vector<Copy> copies(1);
  copies[0].id = NodeId(1);
  copies[0].local = std::make_shared<LocalReplica>(std::move(node), workers, workers);
  copies[0].link = copies[0].local;
  CopiesOptions options;
  options.operation_timeout = operation_timeout;
  return std::make_unique<Copies>(std::move(copies), /*keeper=*/nullptr, clock, options);
}

class TestGroup {
 public:
  absl::Status Create() {
    if (absl::Status status = Node::Create(t.options); !status.ok()) return status;
    return Open();
  }
  // Closes the group, if it is open, as a crash of the process does.
  absl::Status Open() {
    group.reset();
    if (absl::Status status = t.Open(); !status.ok()) return status;
    const ShardEpoch epoch = t.node->log().last().epoch.Next();
    node = t.node.get();
    group = std::make_unique<Group>(
        OneCopy(std::move(t.node), &t.workers, t.expiry_clock.get(), options.operation_timeout),
        t.expiry_clock.get(), options);
    return group->StartEpoch(epoch);
  }

  absl::Status Write(LambdaMutation::Function function) {
    LambdaMutation mutation(std::move(function));
    return group->Write(&mutation, {&word, 0});
  }
  absl::Status Put(std::string_view key, std::string_view payload) {
    return Write([&](GroupView*, std::string* effects) {
      *effects = PutEffect(1, key, payload);
      return absl::OkStatus();
    });
  }
  // Adds one to the number at `key`, which begins at zero. `*after`: the sum.
  absl::Status Increment(const std::string& key, int* after) {
    return Write([&](GroupView* view, std::string* effects) {
      ValueHeader header;
      std::string payload;
      const absl::Status status = view->Get(1, key, &header, &payload);
      if (!status.ok() && !absl::IsNotFound(status)) return status;
      *after = (status.ok() ? std::stoi(payload) : 0) + 1;
      *effects = PutEffect(1, key, std::to_string(*after));
      return absl::OkStatus();
    });
  }
  absl::StatusOr<std::string> Get(std::string_view key) const {
    ValueHeader header;
    std::string payload;
    absl::Status status =
        group->BeginRead().store().Get(1, key, t.expiry_clock->NowMs(), &header, &payload);
    if (!status.ok()) return status;
    return payload;
  }
  LogIndex last() const { return node->log().last().index; }

  TestNode t;
  GroupOptions options;
  std::atomic<uint64_t> word{0};  // that every Guard looks at
  Node* node = nullptr;
  std::unique_ptr<Group> group;
};

// A write whose leader hangs in Evaluate until it is let go: all that come meanwhile wait.
class HangingWrite {
 public:
  explicit HangingWrite(TestGroup* t) {
    thread_ = std::thread([this, t] {
      status_ = t->Write([this](GroupView*, std::string*) {
        hanging_.Notify();
        go_on_.WaitForNotification();
        return absl::OkStatus();
      });
    });
    hanging_.WaitForNotification();
  }
  ~HangingWrite() { LetGo(); }

  void LetGo() {
    if (!thread_.joinable()) return;
    go_on_.Notify();
    thread_.join();
    EXPECT_THAT(status_, IsOk());
  }

 private:
  absl::Notification hanging_, go_on_;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_GROUP_TEST_SUPPORT_H_
