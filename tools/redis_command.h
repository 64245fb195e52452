// Translates Redis's commands on strings and hashes into operations on keys.
//
// Arguments are taken and refused as Redis 7 does, with its error texts.
#ifndef SLOTKV_TOOLS_REDIS_COMMAND_H_
#define SLOTKV_TOOLS_REDIS_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/operation.h"

namespace slotkv::tools {

struct RedisCommand {
  enum class Kind {
    kData,      // changes keys: Translate says how
    kNoEffect,  // changes no key: reads, and what concerns the connection
    kMsetnx,    // all keys or none: Translate gives the sets
    kFlushDb,   // all keys of the database go: Translate only checks the arguments
    kFlushAll,  // the same for every database
    kSelect,
    kMulti,
    kExec,
    kDiscard,
  };

  using Translator = absl::StatusOr<std::vector<Operation>> (*)(const RedisCommand& command,
                                                                std::vector<std::string> arguments,
                                                                absl::Time now);

  const char* name;  // upper case
  Kind kind;
  // As in Redis: how many arguments, the name included; negative: at least that many.
  int arity;
  Translator translator;
};

// Null if slotkv does not know the command. `name` in any case.
const RedisCommand* FindRedisCommand(std::string_view name);

// Ok, or Redis's text about a wrong number of arguments, the name included.
absl::Status CheckArity(const RedisCommand& command, size_t arguments);

// The operations of a command that changes keys; `arguments` begin with its name and have passed
// CheckArity. Relative times count from `now`. An error is what Redis would answer: such a command
// has no effect. Keys and values beyond slotkv's limits are errors, too.
absl::StatusOr<std::vector<Operation>> Translate(const RedisCommand& command,
                                                 std::vector<std::string> arguments,
                                                 absl::Time now);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_REDIS_COMMAND_H_
