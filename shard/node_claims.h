// Whose files are in use, and in which zone. Whoever is to open a node's files claims them before,
// and holds the claim until they are closed: nobody else opens or deletes them meanwhile.
//
// A zone that was opened anew, or replaced, is another one than before: what still hangs there
// keeps nobody from the node's files in the new one.
#ifndef SLOTKV_SHARD_NODE_CLAIMS_H_
#define SLOTKV_SHARD_NODE_CLAIMS_H_

#include <memory>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "shard/open_zone.h"
#include "slotkv/ids.h"

namespace slotkv {

// Thread-safe.
class NodeClaims {
 private:
  // The zones are there for as long as what is claimed in them is.
  using Key = std::pair<NodeId, const OpenZone*>;
  // Outlives the NodeClaims: files may be closed later.
  struct Table {
    mutable absl::Mutex mu;
    std::set<Key> taken ABSL_GUARDED_BY(mu);
  };

 public:
  class Claim {
   public:
    Claim(std::shared_ptr<Table> table, NodeId node, std::shared_ptr<const OpenZone> zone)
        : table_(std::move(table)), zone_(std::move(zone)), key_(node, zone_.get()) {}
    ~Claim() { Release(); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    // The files are closed. For one thread, once; the destructor does it, too.
    void Release();

   private:
    std::shared_ptr<Table> table_;  // null: released
    const std::shared_ptr<const OpenZone> zone_;
    const Key key_;
  };

  // Null if somebody has them.
  std::shared_ptr<Claim> Take(NodeId node, const std::shared_ptr<const OpenZone>& zone);
  bool IsTaken(NodeId node, const OpenZone& zone) const;

 private:
  const std::shared_ptr<Table> table_ = std::make_shared<Table>();
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_NODE_CLAIMS_H_
