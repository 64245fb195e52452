// The writes on one key, each deciding against what its write group shows it.
#ifndef SLOTKV_SHARD_MUTATIONS_H_
#define SLOTKV_SHARD_MUTATIONS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "replication/mutation.h"
#include "slotkv/options.h"
#include "slotkv/slot.h"

namespace slotkv {

// A write on one key. The key, and whatever else a mutation is given as a view, must outlive it.
class KeyMutation : public Mutation {
 public:
  KeyMutation(Slot slot, std::string_view key) : slot_(slot), key_(key) {}

  size_t EstimatedBytes() const override { return key_.size() + 64; }

 protected:
  // The live string. NotFound without text; FailedPrecondition if it is no string.
  absl::Status Read(GroupView* view, ValueHeader* header, std::string* payload) const;
  void Put(const ValueHeader& header, std::string_view payload, std::string* effects) const;
  void Delete(std::string* effects) const;

  const Slot slot_;
  const std::string_view key_;
};

// When a key expires that lives `ttl` from `now_ms` on; 0 for an infinite ttl.
uint64_t ExpiryAfter(uint64_t now_ms, absl::Duration ttl);

class SetMutation final : public KeyMutation {
 public:
  // `options.ttl` is the one to apply: the caller has put the default in.
  SetMutation(Slot slot, std::string_view key, std::string_view value, const SetOptions& options)
      : KeyMutation(slot, key), value_(value), options_(options) {}

  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + value_.size(); }

 private:
  const std::string_view value_;
  const SetOptions options_;
};

class DeleteMutation final : public KeyMutation {
 public:
  using KeyMutation::KeyMutation;
  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  bool existed() const { return existed_; }

 private:
  bool existed_ = false;
};

class IncrementMutation final : public KeyMutation {
 public:
  IncrementMutation(Slot slot, std::string_view key, int64_t delta, absl::Duration default_ttl)
      : KeyMutation(slot, key), delta_(delta), default_ttl_(default_ttl) {}
  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  int64_t sum() const { return sum_; }

 private:
  const int64_t delta_;
  const absl::Duration default_ttl_;
  int64_t sum_ = 0;
};

class AppendMutation final : public KeyMutation {
 public:
  AppendMutation(Slot slot, std::string_view key, std::string_view suffix,
                 absl::Duration default_ttl)
      : KeyMutation(slot, key), suffix_(suffix), default_ttl_(default_ttl) {}
  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + suffix_.size(); }
  uint64_t length() const { return length_; }

 private:
  const std::string_view suffix_;
  const absl::Duration default_ttl_;
  uint64_t length_ = 0;
};

class CompareAndSetMutation final : public KeyMutation {
 public:
  CompareAndSetMutation(Slot slot, std::string_view key, std::string_view expected,
                        std::string_view desired)
      : KeyMutation(slot, key), expected_(expected), desired_(desired) {}
  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + desired_.size(); }

 private:
  const std::string_view expected_;
  const std::string_view desired_;
};

// Gives a key that exists another expiry (infinite: none; not positive: deletes it) and hands out
// its value.
class TouchMutation final : public KeyMutation {
 public:
  TouchMutation(Slot slot, std::string_view key, absl::Duration ttl)
      : KeyMutation(slot, key), ttl_(ttl) {}
  // NotFound without text if the key is missing.
  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  // Before this write.
  bool had_expiry() const { return had_expiry_; }
  std::string& value() { return value_; }

 private:
  const absl::Duration ttl_;
  bool had_expiry_ = false;
  std::string value_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_MUTATIONS_H_
