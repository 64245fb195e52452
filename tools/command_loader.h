// Applies a stream of Redis commands to a cluster: what `slotkv load` is made of.
//
// A command passes, in this order, the database selected (only 0 is loaded), the transaction that
// is open (held back until EXEC), its translation, and the pool of workers. Transactions and
// commands with several keys are split by key: on a cluster they are not atomic. What concerns all
// keys at once, FLUSHALL say, waits until the workers have nothing to do.
#ifndef SLOTKV_TOOLS_COMMAND_LOADER_H_
#define SLOTKV_TOOLS_COMMAND_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"
#include "tools/buffered_input.h"
#include "tools/loading_keyspace.h"
#include "tools/operation_pool.h"
#include "tools/redis_command.h"

namespace slotkv::tools {

// The keys that a load works on. A load of several files has one for all of them: what Redis
// writes into an increment goes on from what stands in the files before it.
class LoadTarget {
 public:
  // `cluster` must outlive this and be opened with a StillClock that shows `now`; nothing else may
  // write to it meanwhile. `threads`, 1 to 64, write to it. `expired_bytes_max` bounds the memory
  // for keys whose time had passed before the load began.
  LoadTarget(Cluster* cluster, absl::Time now, int threads,
             size_t expired_bytes_max = size_t{1} << 30);

  // One for each thread.
  const std::vector<std::unique_ptr<LoadingKeyspace>>& keyspaces() const { return keyspaces_; }

  // Deletes all keys: those in the cluster, and those whose time has passed.
  absl::Status DeleteAll();

  // See LoadingKeyspace.
  uint64_t ExpiredGivenUp() const;

 private:
  Cluster* const cluster_;
  std::vector<std::unique_ptr<LoadingKeyspace>> keyspaces_;
};

// What became of the commands. Each is counted once below `commands`.
struct LoadReport {
  uint64_t commands = 0;
  uint64_t applied = 0;
  uint64_t without_effect = 0;  // reads, connection, SELECT, MULTI, EXEC, DISCARD
  uint64_t unknown = 0;
  uint64_t failed = 0;          // Redis would have answered with an error, or slotkv cannot hold it
  uint64_t other_database = 0;  // given while another database than 0 was selected
  uint64_t discarded = 0;       // in a transaction that was not executed
  uint64_t unapplied = 0;       // when an error ended the load: not at all, or only in part

  // At most kNamesKept names, in upper case; the rest under "(other names)".
  std::map<std::string, uint64_t> unknown_by_name;
  std::vector<CommandFailure> failures;  // the first few
  bool unfinished_transaction = false;   // the stream ends between MULTI and EXEC
  // See LoadingKeyspace: while this stream was loaded.
  uint64_t expired_given_up = 0;

  // Why reading or applying ended before the end of the stream; ok if it did not.
  absl::Status status;
  // All commands before this byte were taken up.
  uint64_t offset = 0;

  static constexpr size_t kNamesKept = 100;

  // Everything in the stream is in the cluster now.
  bool IsComplete() const;
};

// Not thread-safe. One for each stream: every stream begins with database 0 and no transaction.
class CommandLoader {
 public:
  // `target` must outlive the loader, and have one loader at a time.
  explicit CommandLoader(LoadTarget* target);

  // Takes the next command, which begins at byte `offset` of the stream; its name comes first. An
  // error means that no more can be loaded.
  absl::Status Add(std::vector<std::string> arguments, uint64_t offset);

  // Waits until everything is applied and tells what became of it; `offset` is the end of what was
  // read. Called once, last.
  LoadReport Finish(uint64_t offset);

  uint64_t commands() const { return report_.commands; }

 private:
  struct QueuedCommand {
    const RedisCommand* command;
    std::vector<std::string> arguments;
    uint64_t offset;
  };
  struct Transaction {
    bool open = false;
    // A command in it was refused, so EXEC will be.
    bool aborted = false;
    uint64_t offset = 0;
    size_t bytes = 0;
    std::vector<QueuedCommand> commands;
  };

  void Multi(const QueuedCommand& multi);
  void Exec(const QueuedCommand& exec);
  void Discard(const QueuedCommand& discard);
  // Keeps the command until EXEC.
  absl::Status Hold(QueuedCommand queued);
  void DropTransaction();
  void Execute(QueuedCommand queued);
  void ExecuteMsetnx(std::vector<Operation> operations);
  void Select(const QueuedCommand& select);
  void CountUnknown(const std::string& name);
  void Fail(const QueuedCommand& queued, const absl::Status& status);

  LoadReport report_;
  int64_t database_ = 0;
  Transaction transaction_;

  LoadTarget* const target_;
  const uint64_t given_up_before_;
  // The pool's workers use it.
  FailureLog failures_;
  std::unique_ptr<OperationPool> pool_;
};

// Loads the whole of `input`, as far as it can be read. `on_progress`, if there is one, is called
// now and then on this thread.
LoadReport LoadStream(
    LoadTarget* target, BufferedInput* input,
    const std::function<void(uint64_t offset, uint64_t commands)>& on_progress = {});

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_COMMAND_LOADER_H_
