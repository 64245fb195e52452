#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr int kBarWidth = 30;
constexpr absl::Duration kRedraw = absl::Milliseconds(100);

}  // namespace

Progress::Progress(std::string label, std::optional<uint64_t> bytes_total)
    : shown_(isatty(STDERR_FILENO) == 1),
      label_(std::move(label)),
      bytes_total_(bytes_total),
      start_(absl::Now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::Update(uint64_t bytes_done, uint64_t commands) {
  if (!shown_) return;
  const absl::Time now = absl::Now();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  const std::string line = ProgressLine(label_, bytes_total_, bytes_done, commands, now - start_);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
}

std::string ProgressLine(const std::string& label, std::optional<uint64_t> bytes_total,
                         uint64_t bytes_done, uint64_t commands, absl::Duration elapsed) {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  const std::string work = absl::StrCat(
      Count(commands, "command"), ", ",
      WithCommas(static_cast<uint64_t>(static_cast<double>(commands) / seconds)), "/s");
  if (!bytes_total.has_value() || *bytes_total == 0) {
    return absl::StrFormat("%s  %s bytes, %s", label, WithCommas(bytes_done), work);
  }
  const double part =
      std::min(1.0, static_cast<double>(bytes_done) / static_cast<double>(*bytes_total));
  const int filled = static_cast<int>(part * kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  std::string line =
      absl::StrFormat("%s  [%s] %3d%%  %s", label, bar, static_cast<int>(part * 100), work);
  if (part > 0) {
    const double left = seconds / part - seconds;
    absl::StrAppendFormat(&line, ", %.0f s left", left);
  }
  return line;
}

}  // namespace slotkv::tools
