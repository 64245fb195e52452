// The slotkv command-line tool.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "slotkv/version.h"
#include "tools/command_line.h"

namespace {

constexpr const char* kFooter =
    "Start with the tour, which needs nothing and leaves nothing behind:\n"
    "  slotkv tour\n"
    "\n"
    "A cluster is a directory. The first write creates it:\n"
    "  slotkv set --dir /tmp/sessions session:42 alice --ttl 30m\n"
    "  slotkv get --dir /tmp/sessions session:42\n"
    "  slotkv ttl --dir /tmp/sessions session:42\n"
    "\n"
    "Bring what Redis has, look at it, and check it:\n"
    "  slotkv load /var/lib/redis/appendonlydir --dir /tmp/sessions\n"
    "  slotkv scan --dir /tmp/sessions --prefix session: --values\n"
    "  slotkv stats --dir /tmp/sessions\n"
    "  slotkv verify --dir /tmp/sessions\n"
    "  slotkv replicas /tmp/sessions\n"
    "  slotkv slots /tmp/sessions\n"
    "\n"
    "'slotkv COMMAND --help' says more about each. One process at a time can open a cluster.\n"
    "Exit codes: 0 done, 1 failed or no such key, 2 wrong usage.\n";

int UsageError(const CLI::App& app, const std::string& message) {
  const std::vector<const CLI::App*> commands = app.get_subcommands({});
  std::string chosen = "slotkv";
  for (const CLI::App* command : commands) {
    if (command->parsed()) absl::StrAppend(&chosen, " ", command->get_name());
  }
  std::fprintf(stderr, "slotkv: %s\nslotkv: '%s --help' shows how it is used\n", message.c_str(),
               chosen.c_str());
  return slotkv::tools::kExitUsage;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "slotkv: Redis Cluster as a library. This tool works on clusters in local directories.",
      "slotkv");
  slotkv::tools::Run run;
  app.require_subcommand(1);
  app.set_version_flag("--version", absl::StrCat("slotkv ", slotkv::kVersion));
  app.footer(kFooter);
  slotkv::tools::AddTourCommands(&app, &run);
  slotkv::tools::AddLoadCommand(&app, &run);
  slotkv::tools::AddKeyCommands(&app, &run);
  slotkv::tools::AddHashCommands(&app, &run);
  slotkv::tools::AddScanCommand(&app, &run);
  slotkv::tools::AddStatsCommand(&app, &run);
  slotkv::tools::AddReplicaCommands(&app, &run);
  slotkv::tools::AddZoneCommands(&app, &run);
  slotkv::tools::AddSlotsCommand(&app, &run);
  slotkv::tools::AddBenchCommand(&app, &run);
  try {
    app.parse(slotkv::tools::ParserArguments(argc, argv));
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    if (argc <= 1) return UsageError(app, "no command given");
    // The parser's own message does not name a command that it does not know.
    const bool unknown = app.get_subcommands().empty() && argv[1][0] != '-';
    return UsageError(app, unknown ? absl::StrCat("no such command: ", argv[1]) : error.what());
  }
  return run();
}

}  // namespace

int main(int argc, char** argv) { return Main(argc, argv); }
