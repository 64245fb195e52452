// scan: the keys of a cluster.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"
#include "tools/command_line.h"
#include "tools/standard_output.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr uint64_t kKeysPerPage = 1000;

struct ScanFlags {
  ClusterFlags cluster;
  std::string prefix;
  std::optional<uint64_t> limit;
  std::string cursor;  // as it is printed
  bool values = false;
  bool raw = false;
};

// A string that begins with a parenthesis is no hash.
std::string ValueText(const ScanEntry& entry, bool raw) {
  if (entry.type == KeyType::kHash) return "(hash)";
  if (raw) return entry.value;
  std::string text = Escaped(entry.value);
  if (!text.empty() && text.front() == '(') text.replace(0, 1, "\\x28");
  return text;
}

std::string Lines(const ScanPage& page, const ScanFlags& flags) {
  std::string lines;
  for (const ScanEntry& entry : page.entries) {
    absl::StrAppend(&lines, flags.raw ? entry.key : Escaped(entry.key));
    if (flags.values) absl::StrAppend(&lines, "\t", ValueText(entry, flags.raw));
    lines.push_back('\n');
  }
  return lines;
}

// Says on stderr how to go on, if there is anything left.
absl::Status SayMore(Cluster* cluster, ScanOptions options) {
  options.limit = 1;
  options.values = false;
  absl::StatusOr<ScanPage> next = cluster->Scan(options);
  if (!next.ok() || next->entries.empty()) return next.status();
  Fail(absl::StrCat("more keys follow: --cursor ", absl::WebSafeBase64Escape(options.cursor)));
  return absl::OkStatus();
}

absl::Status Scan(Cluster* cluster, const ScanFlags& flags, ScanOptions options) {
  StandardOutput out;
  uint64_t left = flags.limit.value_or(std::numeric_limits<uint64_t>::max());
  do {
    options.limit = std::min(left, kKeysPerPage);
    absl::StatusOr<ScanPage> page = cluster->Scan(options);
    if (!page.ok()) return page.status();
    if (!out.Write(Lines(*page, flags))) return out.status();
    left -= page->entries.size();
    options.cursor = std::move(page->cursor);
  } while (!options.cursor.empty() && left > 0);
  return options.cursor.empty() ? absl::OkStatus() : SayMore(cluster, options);
}

int RunScan(const ScanFlags& flags) {
  ScanOptions options;
  options.prefix = flags.prefix;
  options.values = flags.values;
  if (!absl::WebSafeBase64Unescape(flags.cursor, &options.cursor)) {
    return Fail(absl::StrCat("--cursor: not one that scan has printed: ", Quoted(flags.cursor)));
  }
  auto cluster = OpenCluster(flags.cluster, IfMissing::kFail);
  if (!cluster.ok()) return Fail(cluster.status());
  return CloseAndExit(cluster->get(), Scan(cluster->get(), flags, options));
}

constexpr const char* kFooter =
    "One key a line, in the order of the hash slots and, within one, of the bytes; with --values\n"
    "a tab and the value follow, or (hash), whose fields hget prints. Bytes that do not print are\n"
    "written \\n, \\r, \\t or \\xHH, a backslash \\\\, and a parenthesis at the beginning of a\n"
    "value \\x28; --raw leaves all bytes as they are.\n"
    "\n"
    "If --limit ends it before the last key, it says on stderr with which --cursor to go on. Keys\n"
    "are read page by page: it begins at once, in little memory, and ends with what reads it.\n"
    "\n"
    "Examples:\n"
    "  slotkv scan --dir /var/lib/app/sessions\n"
    "  slotkv scan --dir /var/lib/app/sessions --prefix session: --values | head\n"
    "  slotkv scan --dir /var/lib/app/sessions --limit 1000\n";

}  // namespace

void AddScanCommand(CLI::App* app, Run* run) {
  auto flags = std::make_shared<ScanFlags>();
  CLI::App* const command = app->add_subcommand("scan", "Prints the keys of a cluster");
  AddDirFlag(command, &flags->cluster);
  AddText(command, "--prefix", &flags->prefix, "Only keys that begin with this")
      ->required(false)
      ->type_name("TEXT");
  command->add_option("--limit", flags->limit, "At most so many keys; without it, all")
      ->check(CLI::Range(uint64_t{1}, std::numeric_limits<uint64_t>::max()))
      ->type_name("N");
  AddText(command, "--cursor", &flags->cursor, "Goes on where an earlier scan ended")
      ->required(false)
      ->type_name("CURSOR");
  command->add_flag("--values", flags->values, "The values of strings, too");
  command->add_flag("--raw", flags->raw, "Prints bytes as they are");
  command->footer(kFooter);
  command->callback([flags, run] { *run = [flags] { return RunScan(*flags); }; });
}

}  // namespace slotkv::tools
