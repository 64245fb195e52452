// stats: what a cluster holds and where.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"
#include "tools/command_line.h"
#include "tools/standard_output.h"
#include "tools/stats_json.h"
#include "tools/stats_picture.h"
#include "tools/stats_text.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

struct StatsFlags {
  ClusterFlags cluster;
  bool json = false;
  Drawn drawn = Drawn::kKeys;
};

std::string_view Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// None if the standard output is no terminal, or too narrow a one.
std::optional<MapStyle> MapForTerminal() {
  struct winsize size = {};
  const bool wide = isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
                    size.ws_col >= kMapColumns;
  if (!wide || Environment("TERM").empty() || Environment("TERM") == "dumb") return std::nullopt;
  return Environment("NO_COLOR").empty() ? MapStyle::kColours : MapStyle::kShades;
}

absl::Status PrintStats(Cluster* cluster, const StatsFlags& flags) {
  StatsOptions options;
  options.count_keys = true;
  options.slot_bytes = true;
  const ClusterStats stats = cluster->GetStats(options);
  StandardOutput out;
  if (flags.json) {
    out.Write(absl::StrCat(StatsJson(stats, cluster->GetTopology()), "\n"));
  } else {
    out.Write(StatsText(stats, cluster, {flags.drawn, MapForTerminal()}));
  }
  if (!out.status().ok()) return out.status();
  const int unreadable = UnreadableSlots(stats);
  if (unreadable == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(Count(static_cast<uint64_t>(unreadable), "slot"),
                                          " cannot be read; slotkv verify says why"));
}

int RunStats(const StatsFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  return CloseAndExit(cluster->get(), PrintStats(cluster->get(), flags));
}

constexpr const char* kFooter =
    "Prints shards, nodes, and how evenly keys, or bytes, are spread over the 16384 slots. On a\n"
    "terminal of 128 columns or more that is a map, 128 slots in a row, where a hot slot stands\n"
    "out (without colours if NO_COLOR is set); otherwise bars and a histogram in ASCII.\n"
    "\n"
    "Of each node: the last record in its log, the last that is durable there, the last in its\n"
    "store, and as lag the bytes that are in the log only. Of nodes that are not in use, -.\n"
    "\n"
    "--json prints one line with all of it, for each slot, too, and what no picture shows: reads,\n"
    "writes and latencies (in microseconds), which here are those of this command alone. A "
    "service\n"
    "gets its own from Cluster::GetStats. All keys are read: about a second for each million.\n"
    "\n"
    "Examples:\n"
    "  slotkv stats --dir /var/lib/app/sessions\n"
    "  slotkv stats --dir /var/lib/app/sessions --map bytes\n"
    "  slotkv stats --dir /var/lib/app/sessions --json | jq '.shards[] | {id, keys, bytes}'\n";

}  // namespace

void AddStatsCommand(CLI::App* app, Run* run) {
  static const std::map<std::string, Drawn> kDrawn = {{"keys", Drawn::kKeys},
                                                      {"bytes", Drawn::kBytes}};
  auto flags = std::make_shared<StatsFlags>();
  CLI::App* const command =
      app->add_subcommand("stats", "Shows shards, nodes, and how evenly the slots are filled");
  AddDirFlag(command, &flags->cluster);
  CLI::Option* const json = command->add_flag("--json", flags->json, "Prints JSON, for programs");
  command
      ->add_option_function<std::string>(
          "--map", [flags](const std::string& drawn) { flags->drawn = kDrawn.at(drawn); },
          "What is drawn of each slot: keys or bytes")
      ->check(CLI::IsMember(&kDrawn).description(""))
      ->default_str("keys")
      ->type_name("WHAT")
      ->excludes(json);
  command->footer(kFooter);
  command->callback([flags, run] { *run = [flags] { return RunStats(*flags); }; });
}

}  // namespace slotkv::tools
