// load: Redis command streams into a cluster.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tools/aof_manifest.h"
#include "tools/buffered_input.h"
#include "tools/command_line.h"
#include "tools/command_loader.h"
#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr int kThreadsMax = 64;

struct LoadFlags {
  ClusterFlags cluster;
  std::string file;
  int threads = 4;
};

// A file that is being loaded, or the standard input.
struct Source {
  std::string name;
  int fd = STDIN_FILENO;
  std::optional<uint64_t> bytes;  // not known for a pipe
};

absl::StatusOr<Source> OpenSource(const std::string& path) {
  Source source;
  source.name = path == "-" ? "the standard input" : path;
  if (path != "-") {
    source.fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (source.fd < 0) return absl::ErrnoToStatus(errno, path);
  }
  struct stat status;
  if (fstat(source.fd, &status) == 0 && S_ISREG(status.st_mode)) {
    source.bytes = static_cast<uint64_t>(status.st_size);
  }
  return source;
}

void PrintRow(std::string_view what, uint64_t number, std::string_view remark) {
  if (number == 0) return;
  absl::PrintF("  %-16s %12s%s%s\n", ToAbsl(what), WithCommas(number), remark.empty() ? "" : "  ",
               ToAbsl(remark));
}

std::string NamesText(const LoadReport& report) {
  return absl::StrJoin(report.unknown_by_name, ", ", [](std::string* out, const auto& name) {
    absl::StrAppend(out, absl::CHexEscape(name.first), " ", WithCommas(name.second));
  });
}

void PrintFailures(const LoadReport& report) {
  for (const CommandFailure& failure : report.failures) {
    absl::PrintF("    byte %d: %s: %s\n", failure.offset, failure.command,
                 absl::CHexEscape(failure.message));
  }
  if (report.failed > report.failures.size()) {
    absl::PrintF("    and %s more\n", WithCommas(report.failed - report.failures.size()));
  }
}

void PrintReport(const Source& source, const LoadReport& report, absl::Duration elapsed) {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-6);
  absl::PrintF("%s: %s in %.2f s (%s/s)\n", source.name, Count(report.commands, "command"), seconds,
               WithCommas(static_cast<uint64_t>(static_cast<double>(report.commands) / seconds)));
  absl::PrintF("  %-16s %12s\n", "applied", WithCommas(report.applied));
  PrintRow("without effect", report.without_effect, "reads, connection, SELECT, MULTI, EXEC");
  PrintRow("unknown", report.unknown, NamesText(report));
  PrintRow("other database", report.other_database, "skipped: slotkv has database 0 alone");
  PrintRow("not executed", report.discarded, "in transactions without EXEC, or with errors");
  PrintRow("not applied", report.unapplied, "because of the error that ended it");
  PrintRow("failed", report.failed, "Redis would refuse them, or slotkv cannot hold them");
  PrintFailures(report);
  PrintRow("given up", report.expired_given_up,
           "expired keys, for want of memory; if the stream extends their life later, they miss");
}

// What kept the stream from being loaded to its end, for stderr.
void SayHowItEnded(const Source& source, const LoadReport& report) {
  if (!report.status.ok()) Fail(absl::StrCat(source.name, ": ", MessageOf(report.status)));
  if (report.unfinished_transaction) {
    Fail(absl::StrCat(source.name, ": it ends in a transaction, which is not executed"));
  }
  if (!report.status.ok() || report.unfinished_transaction) {
    Fail(report.offset == 0 ? "nothing is loaded"
                            : absl::StrCat("commands before byte ", report.offset, " are loaded"));
  }
}

// True if everything of the file is in the cluster; `*go_on` tells whether the next file may be
// loaded.
bool LoadOne(LoadTarget* target, const std::string& path, const Interrupt& interrupt, bool* go_on) {
  *go_on = false;
  absl::StatusOr<Source> source = OpenSource(path);
  if (!source.ok()) {
    Fail(source.status());
    return false;
  }
  const absl::Cleanup close_source = [&source] {
    if (source->fd != STDIN_FILENO) close(source->fd);
  };
  BufferedInput input(FdSource(source->fd, interrupt.fd()));
  const absl::Time start = absl::Now();
  LoadReport report;
  {
    Progress progress("loading", source->bytes);
    report = LoadStream(target, &input, [&progress](uint64_t offset, uint64_t commands) {
      progress.Update(offset, commands);
    });
  }
  PrintReport(*source, report, absl::Now() - start);
  SayHowItEnded(*source, report);
  *go_on = report.status.ok() && !report.unfinished_transaction;
  return report.IsComplete();
}

int RunLoad(const LoadFlags& flags) {
  absl::StatusOr<std::vector<std::string>> files = AofFiles(flags.file);
  if (!files.ok()) return Fail(files.status());
  // Before a cluster is created for nothing.
  absl::StatusOr<Source> first = OpenSource(files->front());
  if (!first.ok()) return Fail(first.status());
  if (first->fd != STDIN_FILENO) close(first->fd);

  const Interrupt interrupt;
  const auto clock = std::make_shared<StillClock>();
  auto cluster = OpenCluster(flags.cluster, IfMissing::kCreate,
                             [&clock](Options* options) { options->clock = clock; });
  if (!cluster.ok()) return Fail(cluster.status());
  LoadTarget target(cluster->get(), clock->Wall(), flags.threads);
  bool complete = true;
  bool go_on = true;
  for (const std::string& file : *files) {
    if (!go_on) {
      Fail(absl::StrCat(file, ": not loaded"));
      continue;
    }
    complete &= LoadOne(&target, file, interrupt, &go_on);
  }
  const int closed = CloseAndExit(cluster->get(), absl::OkStatus());
  return complete && go_on ? closed : kExitFailed;
}

constexpr const char* kFooter =
    "Reads the commands that Redis reads: mass-insertion files (what redis-cli --pipe takes),\n"
    "append-only files, and Redis 7's appendonlydir or its manifest. Inline commands and\n"
    "multibulks may be mixed. Understood are\n"
    "  SET (with all options) SETNX SETEX PSETEX MSET MSETNX GETSET GETDEL GETEX APPEND SETRANGE\n"
    "  INCR DECR INCRBY DECRBY  HSET HMSET HSETNX HDEL HINCRBY  DEL UNLINK FLUSHALL FLUSHDB\n"
    "  EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST  SELECT MULTI EXEC DISCARD\n"
    "Other commands are counted by name and skipped, as is all that belongs to another database\n"
    "than 0. What Redis would refuse, or slotkv cannot hold (hashes beyond 16 MiB), is counted as\n"
    "failed. RDB snapshots are not read: let Redis write its append-only file with\n"
    "aof-use-rdb-preamble no.\n"
    "\n"
    "Times are kept as Redis keeps them: while the load runs no key expires; in the end those\n"
    "whose time has passed are gone. Transactions and commands with several keys are split by key\n"
    "and so are not atomic; the order of commands on one key is kept.\n"
    "\n"
    "A malformed or truncated command ends the load, with its byte offset; what stands before it\n"
    "is loaded. Ctrl-C ends it between two commands. Exit code 0 if everything in the file is in\n"
    "the cluster, 1 if anything was left out.\n"
    "\n"
    "Examples:\n"
    "  slotkv load /var/lib/redis/appendonlydir --dir /var/lib/app/sessions\n"
    "  slotkv load appendonly.aof --dir /var/lib/app/sessions --shards 8 --replicas 2\n"
    "  printf 'SET session:42 alice EX 1800\\n' | slotkv load - --dir /var/lib/app/sessions\n";

}  // namespace

void AddLoadCommand(CLI::App* app, Run* run) {
  auto flags = std::make_shared<LoadFlags>();
  CLI::App* const command = app->add_subcommand(
      "load", "Loads a Redis command stream, and creates the cluster if need be");
  AddDirFlag(command, &flags->cluster);
  AddCreationFlags(command, &flags->cluster);
  AddText(command, "FILE", &flags->file,
          "A file, Redis's appendonlydir, or - for the standard input");
  command->add_option("--threads", flags->threads, "Threads that write to the cluster")
      ->check(CLI::Range(1, kThreadsMax))
      ->capture_default_str()
      ->type_name("N");
  command->footer(kFooter);
  command->callback([flags, run] {
    CheckCreationFlags(flags->cluster);
    *run = [flags] { return RunLoad(*flags); };
  });
}

}  // namespace slotkv::tools
