#include "replication/recovery.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "engine/log.h"
#include "replication/catch_up.h"

namespace slotkv {
namespace {

class Recovery {
 public:
  Recovery(absl::Span<RecoveringCopy> copies, ExpiryClock* clock)
      : copies_(copies), clock_(clock), has_store_(copies.size()) {}

  absl::Status Run() {
    std::optional<size_t> best = Best();
    if (!best.has_value()) return WhyNone();
    const size_t first_best = *best;
    while (best.has_value() && !MakeInSyncEqual(*best)) best = Best();
    if (!best.has_value()) return copies_[first_best].status;
    for (size_t i = 0; i < copies_.size(); ++i) {
      if (!copies_[i].in_sync && Usable(i)) copies_[i].status = Ship(*best, i);
    }
    size_t sound = 0;
    for (size_t i = 0; i < copies_.size(); ++i) {
      if (!Usable(i)) continue;
      copies_[i].status = copies_[i].node->Replay();
      if (copies_[i].status.ok()) ++sound;
    }
    return sound > 0 ? absl::OkStatus() : copies_[*best].status;
  }

 private:
  bool Usable(size_t i) const { return copies_[i].node != nullptr && copies_[i].status.ok(); }
  const Log& LogOf(size_t i) const { return copies_[i].node->log(); }

  // The one with the last record among those in sync.
  std::optional<size_t> Best() const {
    std::optional<size_t> best;
    for (size_t i = 0; i < copies_.size(); ++i) {
      if (!copies_[i].in_sync || !Usable(i)) continue;
      if (!best.has_value() || LogOf(*best).last() < LogOf(i).last()) best = i;
    }
    return best;
  }

  absl::Status WhyNone() const {
    absl::Status why;
    for (const RecoveringCopy& copy : copies_) why.Update(copy.status);
    return why.ok() ? absl::UnavailableError("no copy that is in sync can be reached") : why;
  }

  void OpenStore(size_t i) {
    if (!has_store_[i]) copies_[i].status = copies_[i].node->OpenStore(clock_);
    has_store_[i] = true;
  }

  // False: the log of `best` cannot be read, and its copy is not to be used.
  bool MakeInSyncEqual(size_t best) {
    // What is wrong with its store does not concern the others.
    OpenStore(best);
    for (size_t i = 0; i < copies_.size(); ++i) {
      if (i == best || !copies_[i].in_sync || !Usable(i)) continue;
      const LogIndex last = LogOf(i).last().index;
      const absl::Status shipped = Ship(best, i);
      if (shipped.ok() || !Usable(i)) continue;
      // Whose fault that was, reading alone tells.
      const absl::Status readable = LogOf(best).Read(
          std::max(last, LogOf(best).first()), [](const Record&) { return absl::OkStatus(); });
      if (!readable.ok()) {
        copies_[best].status.Update(readable);
        return false;
      }
      copies_[i].status = shipped;
    }
    return true;
  }

  absl::Status Ship(size_t from, size_t to) {
    const Log& truth = LogOf(from);
    Node* const node = copies_[to].node.get();
    if (absl::Status status = CheckHas(truth, node->log().last()); !status.ok()) return status;
    OpenStore(to);
    if (!copies_[to].status.ok()) return copies_[to].status;
    const absl::Status status =
        CatchUp(truth, truth.last().index, node, /*apply=*/false, [] { return absl::OkStatus(); });
    return status.ok() ? node->Sync() : status;
  }

  const absl::Span<RecoveringCopy> copies_;
  ExpiryClock* const clock_;
  std::vector<bool> has_store_;  // was opened, or could not be
};

}  // namespace

// Logs first, all of them, before anything is applied anywhere: what is served must be on every
// copy.
absl::Status RecoverCopies(absl::Span<RecoveringCopy> copies, ExpiryClock* clock) {
  return Recovery(copies, clock).Run();
}

}  // namespace slotkv
