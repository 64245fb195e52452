#include "tools/command_line.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "slotkv/slot.h"
#include "slotkv/topology.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

// Of a cluster that is created without naming any.
constexpr size_t kDefaultZones = 3;

absl::StatusOr<uint64_t> CountKeys(Cluster* cluster, const ShardInfo& shard) {
  uint64_t keys = 0;
  for (const SlotRange& range : shard.slots) {
    for (int slot = range.first; slot <= range.last; ++slot) {
      absl::StatusOr<uint64_t> count = cluster->CountKeysInSlot(static_cast<Slot>(slot));
      if (!count.ok()) return count.status();
      keys += *count;
    }
  }
  return keys;
}

// The parser takes an argument in square brackets for a list. Such arguments get a zero byte in
// front, which no argument can have by itself, and lose it again here.
std::string RemoveMark(std::string& text) {
  if (!text.empty() && text.front() == '\0') text.erase(0, 1);
  return "";
}

// "zone-a=/mnt/a"
Zone ParseZone(const std::string& text) {
  const size_t at = text.find('=');
  if (at == std::string::npos) return Zone();
  return Zone{text.substr(0, at), text.substr(at + 1)};
}

// Why zones may not be these, as Options has it.
std::string ZonesError(std::vector<Zone> zones) {
  Options options;
  options.zones = std::move(zones);
  const absl::Status status = ValidateOptions(options);
  absl::string_view text = status.message();
  if (!absl::ConsumePrefix(&text, "Options.zones: ")) absl::ConsumePrefix(&text, "Options.");
  return std::string(text);
}

std::string CheckZone(std::string& text) {
  if (text.find('=') == std::string::npos) return "expected NAME=PATH, not " + Quoted(text);
  return ZonesError({ParseZone(text)});
}

}  // namespace

std::vector<std::string> ParserArguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (!argument.empty() && argument.front() == '[') argument.insert(0, 1, '\0');
  }
  // As the parser wants them: the last one first.
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

CLI::Option* AddText(CLI::App* command, const std::string& name, std::string* text,
                     const std::string& description) {
  return command->add_option(name, *text, description)
      ->transform(CLI::Validator(RemoveMark, ""))
      ->required()
      ->type_name("");
}

CLI::Option* AddTexts(CLI::App* command, const std::string& name, std::vector<std::string>* texts,
                      const std::string& description) {
  return command->add_option(name, *texts, description)
      ->transform(CLI::Validator(RemoveMark, ""))
      ->required()
      ->type_name("");
}

CLI::Option* AddDir(CLI::App* command, ClusterFlags* flags) {
  return AddText(command, "DIR,--dir", &flags->dir, "The cluster's directory");
}

CLI::Option* AddDirFlag(CLI::App* command, ClusterFlags* flags) {
  return AddText(command, "--dir", &flags->dir, "The cluster's directory")->type_name("DIR");
}

void AddCreationFlags(CLI::App* command, ClusterFlags* flags) {
  static const std::map<std::string, Fsync> kPolicies = {
      {"always", Fsync::kAlways}, {"everysec", Fsync::kEverySecond}, {"never", Fsync::kNever}};
  command->add_option("--shards", flags->shards, "Shards, if the cluster is created now")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--replicas", flags->replicas,
                   "Copies of each shard besides the primary, each in another zone, if the cluster "
                   "is created now")
      ->check(CLI::Range(0, 63))
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option_function<std::vector<std::string>>(
          "--zone",
          [flags](const std::vector<std::string>& zones) {
            flags->zones.clear();
            for (const std::string& zone : zones) flags->zones.push_back(ParseZone(zone));
          },
          "A zone and where it is, best a disk of its own; once for each zone, if the cluster is "
          "created now. Without it: zone-a, zone-b and zone-c. A relative PATH is below DIR")
      ->allow_extra_args(false)
      ->transform(CLI::Validator(RemoveMark, ""))
      ->check(CLI::Validator(CheckZone, ""))
      ->type_name("NAME=PATH");
  command
      ->add_option_function<std::string>(
          "--fsync", [flags](const std::string& policy) { flags->fsync = kPolicies.at(policy); },
          "When writes are made safe against power failure: always, everysec or never")
      ->check(CLI::IsMember(&kPolicies).description(""))
      ->default_str("everysec")
      ->type_name("POLICY");
}

void CheckCreationFlags(const ClusterFlags& flags) {
  const std::string error = ZonesError(flags.zones);
  if (!error.empty()) throw CLI::ValidationError("--zone", error);
  const size_t zones = flags.zones.empty() ? kDefaultZones : flags.zones.size();
  if (static_cast<size_t>(flags.replicas) < zones) return;
  throw CLI::ValidationError(absl::StrCat(
      "--replicas is ", flags.replicas, ", but there ", zones == 1 ? "is " : "are ",
      Count(zones, "zone"), ": name more with --zone, or give --replicas ", zones - 1));
}

const char* FsyncName(Fsync fsync) {
  switch (fsync) {
    case Fsync::kAlways:
      return "always";
    case Fsync::kEverySecond:
      return "everysec";
    case Fsync::kNever:
      return "never";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Cluster>> OpenCluster(const ClusterFlags& flags,
                                                     IfMissing if_missing,
                                                     std::function<void(Options*)> adjust) {
  Options options;
  options.create_if_missing = if_missing == IfMissing::kCreate;
  options.shards = flags.shards;
  options.replicas_per_shard = flags.replicas;
  options.fsync = flags.fsync;
  if (adjust) adjust(&options);
  if (if_missing == IfMissing::kFail || flags.zones.empty()) {
    return Cluster::Open(options, flags.dir);
  }
  // For a cluster that is there, zones would say where its disks are now.
  options.create_if_missing = false;
  auto cluster = Cluster::Open(options, flags.dir);
  if (!absl::IsNotFound(cluster.status())) return cluster;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.zones = flags.zones;
  return Cluster::Open(options, flags.dir);
}

std::string SlotsText(const ShardInfo& shard) {
  return absl::StrJoin(shard.slots, ",", [](std::string* out, const SlotRange& range) {
    if (range.first == range.last) {
      absl::StrAppend(out, range.first);
    } else {
      absl::StrAppend(out, range.first, "-", range.last);
    }
  });
}

absl::Status VerifyAndPrint(Cluster* cluster, const std::string& indent) {
  absl::Status verified = cluster->Verify();
  if (!verified.ok()) return verified;
  const Topology topology = cluster->GetTopology();
  uint64_t keys = 0;
  for (const ShardInfo& shard : topology.shards()) {
    absl::StatusOr<uint64_t> count = CountKeys(cluster, shard);
    if (!count.ok()) return count.status();
    keys += *count;
    absl::PrintF("%s%-10s %-14s %12s keys\n", indent, shard.id.ToString(), SlotsText(shard),
                 WithCommas(*count));
  }
  absl::PrintF("%s%s, %d slots, %s\n", indent, Count(topology.shards().size(), "shard"), kSlotCount,
               Count(keys, "key"));
  absl::PrintF("verify: ok\n");
  return absl::OkStatus();
}

int Fail(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "slotkv: %s\n", message.c_str());
  return kExitFailed;
}

int Fail(const absl::Status& status) { return Fail(MessageOf(status)); }

int CloseAndExit(Cluster* cluster, const absl::Status& result) {
  const absl::Status closed = cluster->Close();
  if (!result.ok()) return Fail(result);
  if (!closed.ok()) return Fail(closed);
  if (std::fflush(stdout) != 0) return Fail("cannot write to the standard output");
  return kExitOk;
}

std::string MessageOf(const absl::Status& status) {
  return status.message().empty() ? absl::StatusCodeToString(status.code())
                                  : std::string(status.message());
}

}  // namespace slotkv::tools
