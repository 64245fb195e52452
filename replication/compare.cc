#include "replication/compare.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/store.h"
#include "engine/text.h"
#include "replication/copies.h"

namespace slotkv {
namespace {

constexpr absl::Duration kDrainTimeout = absl::Seconds(10);
// While writers wait, for what has come in between.
constexpr absl::Duration kLastDrainTimeout = absl::Milliseconds(200);

// A copy and what its store held at the common moment.
struct Side {
  std::shared_ptr<LocalReplica> copy;
  std::unique_ptr<Store::Reader> reader;

  // Goes on to the next key that has not expired.
  void SkipExpired(uint64_t now_ms) {
    while (reader->Valid() && reader->header().ExpiredAt(now_ms)) reader->Next();
  }
  absl::Status Damage(uint16_t slot, std::string_view what) const {
    return absl::DataLossError(
        absl::StrCat(copy->node()->directory(), ": slot ", slot, ": ", ToAbsl(what)));
  }
};

absl::Status CompareSlot(uint16_t slot, uint64_t now_ms, Side* a, Side* b) {
  a->reader->Seek(slot, {});
  b->reader->Seek(slot, {});
  while (true) {
    a->SkipExpired(now_ms);
    b->SkipExpired(now_ms);
    if (!a->reader->status().ok()) return a->reader->status();
    if (!b->reader->status().ok()) return b->reader->status();
    if (!a->reader->Valid() && !b->reader->Valid()) return absl::OkStatus();
    const bool both = a->reader->Valid() && b->reader->Valid();
    if (!both || a->reader->key() != b->reader->key()) {
      const bool first_has = !b->reader->Valid() || (both && a->reader->key() < b->reader->key());
      const Side& has = first_has ? *a : *b;
      const Side& lacks = first_has ? *b : *a;
      return lacks.Damage(
          slot, absl::StrCat("it lacks the key \"", absl::CHexEscape(ToAbsl(has.reader->key())),
                             "\" that ", has.copy->node()->directory(), " has"));
    }
    const ValueHeader& x = a->reader->header();
    const ValueHeader& y = b->reader->header();
    if (x.type != y.type || x.expiry_ms != y.expiry_ms ||
        a->reader->payload() != b->reader->payload()) {
      return b->Damage(slot,
                       absl::StrCat("the value of \"", absl::CHexEscape(ToAbsl(a->reader->key())),
                                    "\" is another than in ", a->copy->node()->directory()));
    }
    a->reader->Next();
    b->reader->Next();
  }
}

}  // namespace

absl::Status CompareCopies(Group* group, const ExpiryClock& clock) {
  // The primary and a replica. Readers go forward only: each pair has its own.
  std::vector<std::pair<Side, Side>> pairs;
  Copies* const copies = group->copies();
  for (const Copies::CopyInfo& copy : copies->InSync()) {
    if (copy.local == nullptr) continue;
    if (absl::Status s = copy.local->applier()->Drain(kDrainTimeout); !s.ok()) return s;
  }
  absl::Status status = group->RunAsLeader([&]() -> absl::Status {
    if (absl::Status prepared = copies->Prepare(); !prepared.ok()) return prepared;
    const std::vector<Copies::CopyInfo> in_sync = copies->InSync();
    for (size_t i = 1; i < in_sync.size(); ++i) {
      const std::shared_ptr<LocalReplica>& primary = in_sync[0].local;
      const std::shared_ptr<LocalReplica>& replica = in_sync[i].local;
      if (replica == nullptr) continue;
      if (absl::Status s = replica->applier()->Drain(kLastDrainTimeout); !s.ok()) return s;
      pairs.emplace_back(Side{primary, primary->node()->store().NewReader()},
                         Side{replica, replica->node()->store().NewReader()});
    }
    return absl::OkStatus();
  });
  const uint64_t now_ms = clock.NowMs();
  for (auto& [primary, replica] : pairs) {
    for (uint16_t slot = 0; slot < kFirstMetadataSlot && status.ok(); ++slot) {
      status = CompareSlot(slot, now_ms, &primary, &replica);
    }
  }
  return status;
}

}  // namespace slotkv
