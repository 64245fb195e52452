// The standard output of commands that may print much.
#ifndef SLOTKV_TOOLS_STANDARD_OUTPUT_H_
#define SLOTKV_TOOLS_STANDARD_OUTPUT_H_

#include <string_view>

#include "absl/status/status.h"

namespace slotkv::tools {

// A reader that goes away early, as `| head` does, is no error: what comes after is not written,
// and the command can end as it should. Not thread-safe; at most one exists.
class StandardOutput {
 public:
  StandardOutput();

  // False once nothing more can be written.
  bool Write(std::string_view text);
  // Ok, too, if the reader has gone away.
  const absl::Status& status() const { return status_; }

 private:
  bool open_ = true;
  absl::Status status_;
};

// Writes all of `text`, by a StandardOutput of its own.
absl::Status Print(std::string_view text);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_STANDARD_OUTPUT_H_
