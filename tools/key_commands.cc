// get, set, del, ttl, keyslot and verify.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "slotkv/slot.h"
#include "tools/command_line.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

void AddKeys(CLI::App* command, std::vector<std::string>* keys) {
  AddTexts(command, "KEY", keys, "Keys; put -- before them if one begins with a dash");
}

void AddKey(CLI::App* command, std::string* key) {
  AddText(command, "KEY", key, "The key; put -- before it if it begins with a dash");
}

std::string ParseTtl(const std::string& text, absl::Duration* ttl) {
  if (absl::ParseDuration(text, ttl) && *ttl > absl::ZeroDuration() &&
      *ttl < absl::InfiniteDuration()) {
    return "";
  }
  return "expected a time like 30m, 1h30m or 250ms, not " + text;
}

absl::Status NoSuchKey(const std::string& key) {
  return absl::NotFoundError(absl::StrCat("no such key: ", Quoted(key)));
}

// ---- get ----

struct GetFlags {
  ClusterFlags cluster;
  std::string key;
  bool raw = false;
};

int RunGet(const GetFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  absl::StatusOr<std::string> value = (*cluster)->Get(flags.key);
  if (absl::IsNotFound(value.status())) value = NoSuchKey(flags.key);
  if (absl::IsFailedPrecondition(value.status())) {
    value = absl::FailedPreconditionError(
        absl::StrCat(Quoted(flags.key), " holds a hash: slotkv hget prints it"));
  }
  if (value.ok()) {
    std::fwrite(value->data(), 1, value->size(), stdout);
    if (!flags.raw) std::fputc('\n', stdout);
  }
  return CloseAndExit(cluster->get(), value.status());
}

void AddGet(CLI::App* app, Run* run) {
  auto flags = std::make_shared<GetFlags>();
  CLI::App* const command = app->add_subcommand("get", "Prints the value of a key");
  AddDirFlag(command, &flags->cluster);
  AddKey(command, &flags->key);
  command->add_flag("--raw", flags->raw, "Prints the value's bytes alone, without a newline");
  command->footer(
      "Exit code 1 if there is no such key.\n\n"
      "Examples:\n"
      "  slotkv get --dir /var/lib/app/sessions session:42\n"
      "  slotkv get --dir /var/lib/app/sessions --raw photo:42 > photo.jpg\n");
  command->callback([flags, run] { *run = [flags] { return RunGet(*flags); }; });
}

// ---- set ----

struct SetFlags {
  ClusterFlags cluster;
  std::string key;
  std::string value;
  SetOptions options;
  bool if_absent = false;
  bool if_present = false;
};

int RunSet(const SetFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kCreate);
  if (!cluster.ok()) return Fail(cluster.status());
  SetOptions options = flags.options;
  if (flags.if_absent) options.condition = SetCondition::kIfAbsent;
  if (flags.if_present) options.condition = SetCondition::kIfPresent;
  absl::Status set = (*cluster)->Set(flags.key, flags.value, options);
  if (absl::IsFailedPrecondition(set)) {
    set = absl::FailedPreconditionError(absl::StrCat(
        "not set, for the key ", flags.if_absent ? "exists: " : "is missing: ", Quoted(flags.key)));
  }
  return CloseAndExit(cluster->get(), set);
}

void AddSet(CLI::App* app, Run* run) {
  auto flags = std::make_shared<SetFlags>();
  CLI::App* const command =
      app->add_subcommand("set", "Sets a key to a value, and creates the cluster if need be");
  AddDirFlag(command, &flags->cluster);
  AddCreationFlags(command, &flags->cluster);
  AddKey(command, &flags->key);
  AddText(command, "VALUE", &flags->value, "The value");
  CLI::Option* const ttl =
      command
          ->add_option("--ttl", "How long the key lives: 30m, 1h30m, 250ms; without it, for ever")
          ->type_name("TIME")
          ->check(CLI::Validator(
              [flags](std::string& text) { return ParseTtl(text, &flags->options.ttl); }, ""));
  command->add_flag("--keep-ttl", flags->options.keep_ttl, "Keeps the expiry that the key has")
      ->excludes(ttl);
  CLI::Option* const if_absent =
      command->add_flag("--nx", flags->if_absent, "Only if the key does not exist");
  command->add_flag("--xx", flags->if_present, "Only if the key exists")->excludes(if_absent);
  command->footer(
      "Exit code 1 if --nx or --xx forbids it.\n\n"
      "Examples:\n"
      "  slotkv set --dir /var/lib/app/sessions session:42 alice --ttl 30m\n"
      "  slotkv set --dir /var/lib/app/sessions lock:job worker-7 --nx --ttl 10s\n"
      "  slotkv set --dir /srv/kv k v --zone east=/mnt/a/kv --zone west=/mnt/b/kv\n");
  command->callback([flags, run] {
    CheckCreationFlags(flags->cluster);
    *run = [flags] { return RunSet(*flags); };
  });
}

// ---- del, ttl, keyslot, verify ----

struct KeysFlags {
  ClusterFlags cluster;
  std::vector<std::string> keys;
};

int RunDel(const KeysFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  uint64_t deleted_keys = 0;
  absl::Status status;
  for (const std::string& key : flags.keys) {
    absl::StatusOr<bool> deleted = (*cluster)->Delete(key);
    status.Update(deleted.status());
    if (!deleted.ok()) break;
    deleted_keys += *deleted ? 1 : 0;
  }
  absl::PrintF("%d\n", deleted_keys);
  return CloseAndExit(cluster->get(), status);
}

void AddDel(CLI::App* app, Run* run) {
  auto flags = std::make_shared<KeysFlags>();
  CLI::App* const command =
      app->add_subcommand("del", "Deletes keys and prints how many of them there were");
  AddDirFlag(command, &flags->cluster);
  AddKeys(command, &flags->keys);
  command->footer(
      "Example:\n"
      "  slotkv del --dir /var/lib/app/sessions session:42 session:43\n");
  command->callback([flags, run] { *run = [flags] { return RunDel(*flags); }; });
}

int RunTtl(const ClusterFlags& flags, const std::string& key) {
  auto cluster = OpenCluster(flags, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  absl::StatusOr<absl::Duration> left = (*cluster)->TimeToLive(key);
  if (absl::IsNotFound(left.status())) left = NoSuchKey(key);
  if (left.ok()) {
    const bool never = *left == absl::InfiniteDuration();
    absl::PrintF("%s\n", never ? "no expiry" : absl::FormatDuration(*left));
  }
  return CloseAndExit(cluster->get(), left.status());
}

void AddTtl(CLI::App* app, Run* run) {
  auto flags = std::make_shared<KeysFlags>();
  flags->keys.resize(1);
  CLI::App* const command =
      app->add_subcommand("ttl", "Prints how long a key has to live, or 'no expiry'");
  AddDirFlag(command, &flags->cluster);
  AddKey(command, &flags->keys[0]);
  command->footer(
      "Exit code 1 if there is no such key.\n\n"
      "Example:\n"
      "  slotkv ttl --dir /var/lib/app/sessions session:42\n");
  command->callback(
      [flags, run] { *run = [flags] { return RunTtl(flags->cluster, flags->keys[0]); }; });
}

int RunKeySlot(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) absl::PrintF("%d\n", SlotForKey(key));
  return kExitOk;
}

void AddKeySlot(CLI::App* app, Run* run) {
  auto flags = std::make_shared<KeysFlags>();
  CLI::App* const command =
      app->add_subcommand("keyslot", "Prints the hash slot of each key, as CLUSTER KEYSLOT does");
  AddKeys(command, &flags->keys);
  command->footer(
      "Keys with the same text between { and } share a slot. No cluster is needed.\n\n"
      "Example:\n"
      "  slotkv keyslot foo '{user1000}.following' '{user1000}.followers'\n");
  command->callback([flags, run] { *run = [flags] { return RunKeySlot(flags->keys); }; });
}

int RunVerify(const ClusterFlags& flags) {
  auto cluster = OpenCluster(flags, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  return CloseAndExit(cluster->get(), VerifyAndPrint(cluster->get()));
}

void AddVerify(CLI::App* app, Run* run) {
  auto flags = std::make_shared<ClusterFlags>();
  CLI::App* const command = app->add_subcommand(
      "verify", "Reads everything and checks it: checksums, records, slots, ownership");
  AddDirFlag(command, flags.get());
  command->footer(
      "Prints the keys of each shard and ends with 'verify: ok'; otherwise names the first damage\n"
      "found, with exit code 1.\n\n"
      "Example:\n"
      "  slotkv verify --dir /var/lib/app/sessions\n");
  command->callback([flags, run] { *run = [flags] { return RunVerify(*flags); }; });
}

}  // namespace

void AddKeyCommands(CLI::App* app, Run* run) {
  AddGet(app, run);
  AddSet(app, run);
  AddDel(app, run);
  AddTtl(app, run);
  AddKeySlot(app, run);
  AddVerify(app, run);
}

}  // namespace slotkv::tools
