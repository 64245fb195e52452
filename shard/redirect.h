// Redirects: how a Shard handle says that another shard is to be asked.
//
// The status is Aborted, and its text is Redis's with a shard in the place of an address, "MOVED
// 3999 shard-2"; the redirect is in the status's payload.
#ifndef SLOTKV_SHARD_REDIRECT_H_
#define SLOTKV_SHARD_REDIRECT_H_

#include <optional>

#include "absl/status/status.h"
#include "slotkv/ids.h"
#include "slotkv/slot.h"

namespace slotkv {

// Which shard is to be asked, and for how long that holds.
struct Redirect {
  // The kinds of Redis Cluster.
  enum Kind {
    kMoved,  // `shard` owns the slot, for now and later: remember it
    // Of a slot that is on its way between two shards; this release has no such slots yet.
    kAsk,       // ask `shard` this once
    kTryAgain,  // some of the keys are here and some are there: try again in a moment
  };
  // Why; which slot was asked for; whom to ask instead (kTryAgain: of no meaning).
  Kind kind = kMoved;
  Slot slot = 0;
  ShardId shard;

  friend bool operator==(const Redirect& a, const Redirect& b) {
    return a.kind == b.kind && a.slot == b.slot && a.shard == b.shard;
  }
};

// Nullopt: `status` is no redirect.
std::optional<Redirect> GetRedirect(const absl::Status& status);

// The status that carries `redirect`: for those who build their own Endpoint or server.
absl::Status RedirectStatus(const Redirect& redirect);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_REDIRECT_H_
