// Remembers that files were found damaged, so that whoever can do something about it may ask.
#ifndef SLOTKV_ENGINE_DAMAGE_NOTE_H_
#define SLOTKV_ENGINE_DAMAGE_NOTE_H_

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace slotkv {

// Thread-safe. Noted once, it stays.
class DamageNote {
 public:
  // If it is DataLoss, and nothing was noted before. Returns `status`.
  absl::Status Pass(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_) {
    if (absl::IsDataLoss(status)) {
      absl::MutexLock lock(&mu_);
      if (first_.ok()) first_ = status;
      noted_.store(true, std::memory_order_release);
    }
    return status;
  }

  // The first damage that was found; ok: none was. Costs an atomic read then.
  absl::Status Get() const ABSL_LOCKS_EXCLUDED(mu_) {
    if (!noted_.load(std::memory_order_acquire)) return absl::OkStatus();
    absl::MutexLock lock(&mu_);
    return first_;
  }

 private:
  std::atomic<bool> noted_{false};
  mutable absl::Mutex mu_;
  absl::Status first_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_DAMAGE_NOTE_H_
