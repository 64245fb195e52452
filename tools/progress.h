// A progress bar for people: one line on stderr, and nothing at all if that is not a terminal.
#ifndef SLOTKV_TOOLS_PROGRESS_H_
#define SLOTKV_TOOLS_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace slotkv::tools {

// Not thread-safe.
class Progress {
 public:
  // `bytes_total` is not known for a pipe.
  Progress(std::string label, std::optional<uint64_t> bytes_total);
  // Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Redraws, but no more than ten times a second.
  void Update(uint64_t bytes_done, uint64_t commands);

 private:
  const bool shown_;
  const std::string label_;
  const std::optional<uint64_t> bytes_total_;
  const absl::Time start_;
  absl::Time drawn_;
};

// The text of the line, at `elapsed` since the start.
std::string ProgressLine(const std::string& label, std::optional<uint64_t> bytes_total,
                         uint64_t bytes_done, uint64_t commands, absl::Duration elapsed);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_PROGRESS_H_
