// hget: the fields of a hash.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"
#include "tools/command_line.h"
#include "tools/standard_output.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

struct HgetFlags {
  ClusterFlags cluster;
  std::string key;
  std::string field;
  bool all_fields = false;
  bool raw = false;
};

// What there is to print.
absl::StatusOr<std::string> FieldText(Cluster* cluster, const HgetFlags& flags) {
  absl::StatusOr<std::string> value = cluster->HashGet(flags.key, flags.field);
  if (value.ok() && !flags.raw) value->push_back('\n');
  return value;
}

absl::StatusOr<std::string> FieldsText(Cluster* cluster, const HgetFlags& flags) {
  absl::StatusOr<std::vector<HashField>> fields = cluster->HashGetAll(flags.key);
  if (!fields.ok()) return fields.status();
  std::string lines;
  for (const HashField& field : *fields) {
    absl::StrAppend(&lines, flags.raw ? field.name : Escaped(field.name), "\t",
                    flags.raw ? field.value : Escaped(field.value), "\n");
  }
  return lines;
}

// In words, with names.
absl::Status Explained(Cluster* cluster, const HgetFlags& flags, const absl::Status& error) {
  if (absl::IsFailedPrecondition(error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Quoted(flags.key), " holds a string: slotkv get prints it"));
  }
  if (!absl::IsNotFound(error)) return error;
  absl::StatusOr<bool> exists = cluster->Exists(flags.key);
  if (!exists.ok()) return exists.status();
  return *exists ? absl::NotFoundError(absl::StrCat("no such field: ", Quoted(flags.field), " in ",
                                                    Quoted(flags.key)))
                 : absl::NotFoundError(absl::StrCat("no such key: ", Quoted(flags.key)));
}

int RunHget(const HgetFlags& flags) {
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  absl::StatusOr<std::string> text =
      flags.all_fields ? FieldsText(cluster->get(), flags) : FieldText(cluster->get(), flags);
  if (!text.ok()) {
    return CloseAndExit(cluster->get(), Explained(cluster->get(), flags, text.status()));
  }
  StandardOutput out;
  out.Write(*text);
  return CloseAndExit(cluster->get(), out.status());
}

constexpr const char* kFooter =
    "Without FIELD it prints all fields by name, one a line: name, tab, value. There, bytes that\n"
    "do not print are written \\n, \\r, \\t or \\xHH, and a backslash \\\\.\n"
    "Exit code 1 if there is no such key or field.\n"
    "\n"
    "Examples:\n"
    "  slotkv hget --dir /var/lib/app/sessions cart:42\n"
    "  slotkv hget --dir /var/lib/app/sessions cart:42 total\n";

}  // namespace

void AddHashCommands(CLI::App* app, Run* run) {
  auto flags = std::make_shared<HgetFlags>();
  CLI::App* const command =
      app->add_subcommand("hget", "Prints a field of a hash, or all of its fields");
  AddDirFlag(command, &flags->cluster);
  AddText(command, "KEY", &flags->key, "The key; put -- before it if it begins with a dash");
  CLI::Option* const field =
      AddText(command, "FIELD", &flags->field, "The field's name; without it, all")
          ->required(false);
  command->add_flag("--raw", flags->raw,
                    "Prints bytes as they are, and the value of FIELD without a newline");
  command->footer(kFooter);
  command->callback([flags, field, run] {
    flags->all_fields = field->count() == 0;
    *run = [flags] { return RunHget(*flags); };
  });
}

}  // namespace slotkv::tools
