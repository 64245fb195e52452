// What the commands of the slotkv tool have in common.
#ifndef SLOTKV_TOOLS_COMMAND_LINE_H_
#define SLOTKV_TOOLS_COMMAND_LINE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "slotkv/cluster.h"

namespace slotkv::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // or: the key is missing
inline constexpr int kExitUsage = 2;

// What the chosen command does; returns the exit code.
using Run = std::function<int()>;

// Each adds its commands to `app`. Parsing sets `*run` for the one chosen.
void AddBenchCommand(CLI::App* app, Run* run);
void AddHashCommands(CLI::App* app, Run* run);
void AddKeyCommands(CLI::App* app, Run* run);
void AddLoadCommand(CLI::App* app, Run* run);
void AddReplicaCommands(CLI::App* app, Run* run);
void AddScanCommand(CLI::App* app, Run* run);
void AddSlotsCommand(CLI::App* app, Run* run);
void AddStatsCommand(CLI::App* app, Run* run);
void AddTourCommands(CLI::App* app, Run* run);
void AddZoneCommands(CLI::App* app, Run* run);

// Which cluster a command works on.
struct ClusterFlags {
  std::string dir;
  // At creation only.
  int shards = 3;
  int replicas = 1;
  std::vector<Zone> zones;

  Fsync fsync = Fsync::kEverySecond;
};

// Text that may be anything: a key, a value, a path. `name` is in capitals for a positional.
CLI::Option* AddText(CLI::App* command, const std::string& name, std::string* text,
                     const std::string& description);
// One or more of them.
CLI::Option* AddTexts(CLI::App* command, const std::string& name, std::vector<std::string>* texts,
                      const std::string& description);
// The arguments after the program's name, made ready for the parser.
std::vector<std::string> ParserArguments(int argc, char** argv);

// The directory as the first argument or by --dir; it must be given.
CLI::Option* AddDir(CLI::App* command, ClusterFlags* flags);
// --dir, which must be given.
CLI::Option* AddDirFlag(CLI::App* command, ClusterFlags* flags);
// --fsync and, for a cluster that the command may create, --shards, --replicas and --zone.
void AddCreationFlags(CLI::App* command, ClusterFlags* flags);
// For the command's callback: throws CLI::ValidationError if the flags do not go together.
void CheckCreationFlags(const ClusterFlags& flags);

// As --fsync has it.
const char* FsyncName(Fsync fsync);

enum class IfMissing { kCreate, kFail };

// `adjust` may change the options before the cluster is opened. What is for creation alone does not
// matter to a cluster that is there.
absl::StatusOr<std::unique_ptr<Cluster>> OpenCluster(const ClusterFlags& flags,
                                                     IfMissing if_missing,
                                                     std::function<void(Options*)> adjust = {});

// "0-5460,7000".
std::string SlotsText(const ShardInfo& shard);

// Runs Cluster::Verify and prints the keys of each shard and "verify: ok".
absl::Status VerifyAndPrint(Cluster* cluster, const std::string& indent = "");

// Says `message` on stderr, "slotkv: " before it, and returns kExitFailed.
int Fail(const std::string& message);
int Fail(const absl::Status& status);

// kExitOk, or kExitFailed after saying what failed: `result`, closing the cluster, or stdout.
int CloseAndExit(Cluster* cluster, const absl::Status& result);

// The message of an error, or the code's name if it has none.
std::string MessageOf(const absl::Status& status);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_COMMAND_LINE_H_
