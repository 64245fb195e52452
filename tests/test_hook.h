// A FileHook that does what a test tells it: fail an operation, hang in it, or look at the file.
#ifndef SLOTKV_TESTS_TEST_HOOK_H_
#define SLOTKV_TESTS_TEST_HOOK_H_

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/file_hook.h"

namespace slotkv {

// Thread-safe. The functions are called without a lock, so they may block.
class TestHook final : public FileHook {
 public:
  using BeforeFunction = std::function<absl::Status(FileOp, const std::string&)>;
  using AfterFunction = std::function<void(FileOp, const std::string&)>;

  absl::Status Before(FileOp op, const std::string& path) override {
    BeforeFunction before;
    {
      absl::MutexLock lock(&mu_);
      ++begun_[op];
      before = before_;
    }
    return before == nullptr ? absl::OkStatus() : before(op, path);
  }

  void After(FileOp op, const std::string& path) override {
    AfterFunction after;
    {
      absl::MutexLock lock(&mu_);
      ++done_[op];
      after = after_;
    }
    if (after != nullptr) after(op, path);
  }

  void SetBefore(BeforeFunction before) {
    absl::MutexLock lock(&mu_);
    before_ = std::move(before);
  }
  void SetAfter(AfterFunction after) {
    absl::MutexLock lock(&mu_);
    after_ = std::move(after);
  }

  // Every operation of this kind fails with `status`, on paths that contain `part`.
  void Fail(FileOp failing, const absl::Status& status, const std::string& part = "") {
    SetBefore([=](FileOp op, const std::string& path) {
      return op == failing && path.find(part) != std::string::npos ? status : absl::OkStatus();
    });
  }
  void Heal() { SetBefore(nullptr); }

  // Operations that were asked for, and those that succeeded.
  int begun(FileOp op) const {
    absl::MutexLock lock(&mu_);
    const auto it = begun_.find(op);
    return it == begun_.end() ? 0 : it->second;
  }
  int done(FileOp op) const {
    absl::MutexLock lock(&mu_);
    const auto it = done_.find(op);
    return it == done_.end() ? 0 : it->second;
  }

 private:
  mutable absl::Mutex mu_;
  BeforeFunction before_ ABSL_GUARDED_BY(mu_);
  AfterFunction after_ ABSL_GUARDED_BY(mu_);
  std::map<FileOp, int> begun_ ABSL_GUARDED_BY(mu_);
  std::map<FileOp, int> done_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_TEST_HOOK_H_
