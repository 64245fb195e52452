#include "tools/command_loader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tools/rdb_preamble.h"
#include "tools/resp_reader.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr uint64_t kCommandsPerProgress = 256;
constexpr size_t kUnknownNameBytesMax = 32;

size_t BytesOf(const std::vector<std::string>& arguments) {
  size_t bytes = 0;
  for (const std::string& argument : arguments) bytes += argument.size() + sizeof(argument);
  return bytes;
}

}  // namespace

bool LoadReport::IsComplete() const {
  return status.ok() && unknown == 0 && failed == 0 && other_database == 0 &&
         !unfinished_transaction && expired_given_up == 0;
}

LoadTarget::LoadTarget(Cluster* cluster, absl::Time now, int threads, size_t expired_bytes_max)
    : cluster_(cluster) {
  for (int i = 0; i < threads; ++i) {
    keyspaces_.push_back(std::make_unique<LoadingKeyspace>(
        cluster, now, expired_bytes_max / static_cast<size_t>(threads)));
  }
}

absl::Status LoadTarget::DeleteAll() {
  for (const auto& keyspace : keyspaces_) keyspace->Clear();
  return cluster_->DeleteAll();
}

uint64_t LoadTarget::ExpiredGivenUp() const {
  uint64_t given_up = 0;
  for (const auto& keyspace : keyspaces_) given_up += keyspace->expired_given_up();
  return given_up;
}

CommandLoader::CommandLoader(LoadTarget* target)
    : target_(target), given_up_before_(target->ExpiredGivenUp()) {
  std::vector<OperationPool::Apply> workers;
  for (const auto& owned : target->keyspaces()) {
    LoadingKeyspace* const keyspace = owned.get();
    workers.push_back(
        [keyspace](const Operation& operation) { return keyspace->Apply(operation); });
  }
  pool_ = std::make_unique<OperationPool>(std::move(workers), &failures_);
}

absl::Status CommandLoader::Add(std::vector<std::string> arguments, uint64_t offset) {
  ++report_.commands;
  QueuedCommand queued{FindRedisCommand(arguments[0]), std::move(arguments), offset};
  if (queued.command == nullptr) {
    if (database_ != 0) {
      ++report_.other_database;
    } else {
      CountUnknown(queued.arguments[0]);
    }
    return pool_->status();
  }
  absl::Status arity = CheckArity(*queued.command, queued.arguments.size());
  if (!arity.ok()) {
    Fail(queued, arity);
    transaction_.aborted = transaction_.open;
    return pool_->status();
  }
  absl::Status taken;
  switch (queued.command->kind) {
    case RedisCommand::Kind::kMulti:
      Multi(queued);
      break;
    case RedisCommand::Kind::kExec:
      Exec(queued);
      break;
    case RedisCommand::Kind::kDiscard:
      Discard(queued);
      break;
    default:
      if (transaction_.open) {
        taken = Hold(std::move(queued));
      } else {
        Execute(std::move(queued));
      }
  }
  taken.Update(pool_->status());
  return taken;
}

void CommandLoader::Multi(const QueuedCommand& multi) {
  if (transaction_.open) {
    Fail(multi, absl::InvalidArgumentError("ERR MULTI calls can not be nested"));
    return;
  }
  ++report_.without_effect;
  transaction_.open = true;
  transaction_.offset = multi.offset;
}

absl::Status CommandLoader::Hold(QueuedCommand queued) {
  transaction_.bytes += BytesOf(queued.arguments) + sizeof(queued);
  if (transaction_.bytes > kRespCommandBytesMax) {
    return absl::ResourceExhaustedError(absl::StrCat("the transaction at byte ",
                                                     transaction_.offset, " is larger than ",
                                                     kRespCommandBytesMax, " bytes"));
  }
  transaction_.commands.push_back(std::move(queued));
  return absl::OkStatus();
}

void CommandLoader::Exec(const QueuedCommand& exec) {
  if (!transaction_.open) {
    Fail(exec, absl::InvalidArgumentError("ERR EXEC without MULTI"));
    return;
  }
  if (transaction_.aborted) {
    Fail(exec,
         absl::InvalidArgumentError("EXECABORT Transaction discarded because of previous errors."));
    DropTransaction();
    return;
  }
  ++report_.without_effect;
  Transaction executed = std::exchange(transaction_, Transaction());
  for (QueuedCommand& queued : executed.commands) Execute(std::move(queued));
}

void CommandLoader::Discard(const QueuedCommand& discard) {
  if (!transaction_.open) {
    Fail(discard, absl::InvalidArgumentError("ERR DISCARD without MULTI"));
    return;
  }
  ++report_.without_effect;
  DropTransaction();
}

void CommandLoader::DropTransaction() {
  report_.discarded += transaction_.commands.size();
  transaction_ = Transaction();
}

void CommandLoader::Execute(QueuedCommand queued) {
  const RedisCommand& command = *queued.command;
  if (command.kind == RedisCommand::Kind::kSelect) {
    Select(queued);
    return;
  }
  if (command.kind == RedisCommand::Kind::kNoEffect) {
    ++report_.without_effect;
    return;
  }
  if (database_ != 0 && command.kind != RedisCommand::Kind::kFlushAll) {
    ++report_.other_database;
    return;
  }
  absl::StatusOr<std::vector<Operation>> operations =
      Translate(command, std::move(queued.arguments), absl::Now());
  if (!operations.ok()) {
    Fail(queued, operations.status());
    return;
  }
  if (command.kind == RedisCommand::Kind::kFlushDb ||
      command.kind == RedisCommand::Kind::kFlushAll) {
    pool_->RunAlone(queued.offset, [this] { return target_->DeleteAll(); });
    return;
  }
  for (Operation& operation : *operations) operation.offset = queued.offset;
  if (command.kind == RedisCommand::Kind::kMsetnx) {
    ExecuteMsetnx(*std::move(operations));
    return;
  }
  for (Operation& operation : *operations) pool_->Submit(std::move(operation));
}

// All keys must be looked at before any is set, and they may belong to different workers.
void CommandLoader::ExecuteMsetnx(std::vector<Operation> operations) {
  pool_->Drain();
  for (const Operation& set : operations) {
    Operation require = set;
    require.kind = Operation::Kind::kRequireAbsent;
    // An error other than that the key exists will meet the sets, too.
    if (absl::IsFailedPrecondition(pool_->WorkerFor(require)(require))) return;
  }
  for (Operation& set : operations) pool_->Submit(std::move(set));
}

void CommandLoader::Select(const QueuedCommand& select) {
  int64_t database = 0;
  if (!ParseRedisInteger(select.arguments[1], &database)) {
    Fail(select, absl::InvalidArgumentError("ERR value is not an integer or out of range"));
  } else if (database < 0) {
    Fail(select, absl::InvalidArgumentError("ERR DB index is out of range"));
  } else {
    ++report_.without_effect;
    database_ = database;
  }
}

void CommandLoader::CountUnknown(const std::string& name) {
  ++report_.unknown;
  const std::string upper = absl::AsciiStrToUpper(name.substr(0, kUnknownNameBytesMax));
  const bool room = report_.unknown_by_name.size() < LoadReport::kNamesKept;
  const bool known = report_.unknown_by_name.count(upper) > 0;
  ++report_.unknown_by_name[room || known ? upper : "(other names)"];
}

void CommandLoader::Fail(const QueuedCommand& queued, const absl::Status& status) {
  failures_.Add({queued.offset, queued.command->name, std::string(status.message())});
}

LoadReport CommandLoader::Finish(uint64_t offset) {
  pool_->Drain();
  report_.offset = offset;
  if (transaction_.open) {
    report_.unfinished_transaction = true;
    report_.offset = transaction_.offset;
    DropTransaction();
  }
  report_.status = pool_->status();
  report_.offset = std::min(report_.offset, pool_->first_unapplied());
  report_.failed = failures_.count();
  report_.failures = failures_.first();
  report_.unapplied = pool_->unapplied();
  report_.applied = report_.commands - report_.without_effect - report_.unknown - report_.failed -
                    report_.other_database - report_.discarded - report_.unapplied;
  report_.expired_given_up = target_->ExpiredGivenUp() - given_up_before_;
  return std::move(report_);
}

LoadReport LoadStream(LoadTarget* target, BufferedInput* input,
                      const std::function<void(uint64_t offset, uint64_t commands)>& on_progress) {
  CommandLoader loader(target);
  RespReader reader(input);
  absl::Status status = SkipEmptyRdbPreamble(input);
  if (!status.ok()) {
    LoadReport report = loader.Finish(0);
    report.status = std::move(status);
    return report;
  }
  std::vector<std::string> arguments;
  absl::StatusOr<bool> more = true;
  while (status.ok()) {
    more = reader.Next(&arguments);
    if (!more.ok() || !*more) break;
    status = loader.Add(std::move(arguments), reader.command_offset());
    if (on_progress && loader.commands() % kCommandsPerProgress == 0) {
      on_progress(input->offset(), loader.commands());
    }
  }
  LoadReport report = loader.Finish(reader.command_offset());
  report.status.Update(status);
  report.status.Update(more.status());
  return report;
}

}  // namespace slotkv::tools
