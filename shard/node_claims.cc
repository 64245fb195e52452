#include "shard/node_claims.h"

namespace slotkv {

void NodeClaims::Claim::Release() {
  if (table_ == nullptr) return;
  {
    absl::MutexLock lock(&table_->mu);
    table_->taken.erase(key_);
  }
  table_ = nullptr;
}

std::shared_ptr<NodeClaims::Claim> NodeClaims::Take(NodeId node,
                                                    const std::shared_ptr<const OpenZone>& zone) {
  {
    absl::MutexLock lock(&table_->mu);
    if (!table_->taken.insert({node, zone.get()}).second) return nullptr;
  }
  return std::make_shared<Claim>(table_, node, zone);
}

bool NodeClaims::IsTaken(NodeId node, const OpenZone& zone) const {
  absl::MutexLock lock(&table_->mu);
  return table_->taken.count({node, &zone}) != 0;
}

}  // namespace slotkv
