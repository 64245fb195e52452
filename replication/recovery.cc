#include "replication/recovery.h"

#include "engine/log.h"
#include "replication/catch_up.h"

namespace slotkv {

absl::Status RecoverCopies(absl::Span<RecoveringCopy> copies, ExpiryClock* clock) {
  const RecoveringCopy* best = nullptr;
  absl::Status why;
  for (const RecoveringCopy& copy : copies) {
    why.Update(copy.status);
    if (!copy.in_sync || copy.node == nullptr || !copy.status.ok()) continue;
    if (best == nullptr || best->node->log().last() < copy.node->log().last()) best = &copy;
  }
  if (best == nullptr) {
    return why.ok() ? absl::UnavailableError("no copy that is in sync can be reached") : why;
  }
  const Log& truth = best->node->log();
  // All of them, before anything is applied anywhere: what is served must be on every copy.
  size_t sound = 0;
  for (RecoveringCopy& copy : copies) {
    if (copy.node == nullptr || !copy.status.ok()) continue;
    if (&copy != best) copy.status = CheckHas(truth, copy.node->log().last());
    if (copy.status.ok()) copy.status = copy.node->OpenStore(clock);
    if (!copy.status.ok() || &copy == best) continue;
    copy.status = CatchUp(truth, truth.last().index, copy.node.get(), /*apply=*/false,
                          [] { return absl::OkStatus(); });
    if (copy.status.ok()) copy.status = copy.node->Sync();
  }
  for (RecoveringCopy& copy : copies) {
    if (copy.node == nullptr || !copy.status.ok()) continue;
    copy.status = copy.node->Replay();
    if (copy.status.ok()) ++sound;
  }
  return sound > 0 ? absl::OkStatus() : best->status;
}

}  // namespace slotkv
