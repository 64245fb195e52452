// The writes on one key, each deciding against what its write group shows it.
#ifndef SLOTKV_SHARD_MUTATIONS_H_
#define SLOTKV_SHARD_MUTATIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "replication/mutation.h"
#include "shard/load_table.h"
#include "slotkv/options.h"
#include "slotkv/slot.h"

namespace slotkv {

// What a write on one key is about. The key, and whatever else a mutation is given as a view, must
// outlive it.
struct KeyTarget {
  Slot slot = 0;
  std::string_view key;
  LoadTable* loads = nullptr;  // is told of the write; null: nobody is
};

// A write on one key.
class KeyMutation : public Mutation {
 public:
  explicit KeyMutation(const KeyTarget& target)
      : slot_(target.slot), key_(target.key), loads_(target.loads) {}

  absl::Status Evaluate(GroupView* view, std::string* effects) final {
    if (loads_ != nullptr) loads_->NoteWrite(slot_, key_);
    return Decide(view, effects);
  }
  size_t EstimatedBytes() const override { return key_.size() + 64; }

 protected:
  // As Mutation::Evaluate.
  virtual absl::Status Decide(GroupView* view, std::string* effects) = 0;

  // The live value, which must be of this type. NotFound without text; FailedPrecondition if it is
  // of another.
  absl::Status Read(GroupView* view, ValueType type, ValueHeader* header,
                    std::string* payload) const;
  void Put(const ValueHeader& header, std::string_view payload, std::string* effects) const;
  void Delete(std::string* effects) const;

  const Slot slot_;
  const std::string_view key_;

 private:
  LoadTable* const loads_;
};

absl::Status WrongType();

// When a key expires that lives `ttl` from `now_ms` on; 0 for an infinite ttl.
uint64_t ExpiryAfter(uint64_t now_ms, absl::Duration ttl);

class SetMutation final : public KeyMutation {
 public:
  // `options.ttl` is the one to apply: the caller has put the default in.
  SetMutation(const KeyTarget& target, std::string_view value, const SetOptions& options)
      : KeyMutation(target), value_(value), options_(options) {}

  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + value_.size(); }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const std::string_view value_;
  const SetOptions options_;
};

class DeleteMutation final : public KeyMutation {
 public:
  using KeyMutation::KeyMutation;
  bool existed() const { return existed_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  bool existed_ = false;
};

class IncrementMutation final : public KeyMutation {
 public:
  IncrementMutation(const KeyTarget& target, int64_t delta, absl::Duration default_ttl)
      : KeyMutation(target), delta_(delta), default_ttl_(default_ttl) {}
  int64_t sum() const { return sum_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const int64_t delta_;
  const absl::Duration default_ttl_;
  int64_t sum_ = 0;
};

class AppendMutation final : public KeyMutation {
 public:
  AppendMutation(const KeyTarget& target, std::string_view suffix, absl::Duration default_ttl)
      : KeyMutation(target), suffix_(suffix), default_ttl_(default_ttl) {}
  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + suffix_.size(); }
  uint64_t length() const { return length_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const std::string_view suffix_;
  const absl::Duration default_ttl_;
  uint64_t length_ = 0;
};

class CompareAndSetMutation final : public KeyMutation {
 public:
  CompareAndSetMutation(const KeyTarget& target, std::string_view expected,
                        std::string_view desired)
      : KeyMutation(target), expected_(expected), desired_(desired) {}
  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + desired_.size(); }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const std::string_view expected_;
  const std::string_view desired_;
};

class SetRangeMutation final : public KeyMutation {
 public:
  SetRangeMutation(const KeyTarget& target, uint64_t offset, std::string_view bytes,
                   absl::Duration default_ttl)
      : KeyMutation(target), offset_(offset), bytes_(bytes), default_ttl_(default_ttl) {}
  size_t EstimatedBytes() const override {
    return KeyMutation::EstimatedBytes() + (bytes_.empty() ? 0 : offset_ + bytes_.size());
  }
  uint64_t length() const { return length_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const uint64_t offset_;
  const std::string_view bytes_;
  const absl::Duration default_ttl_;
  uint64_t length_ = 0;
};

// Gives a key that exists another expiry (infinite: none; not positive: deletes it) and hands out
// its value. NotFound without text if the key is missing.
class TouchMutation final : public KeyMutation {
 public:
  // `must_be_string`: FailedPrecondition for anything else.
  TouchMutation(const KeyTarget& target, absl::Duration ttl, bool must_be_string)
      : KeyMutation(target), ttl_(ttl), must_be_string_(must_be_string) {}
  // Before this write.
  bool had_expiry() const { return had_expiry_; }
  std::string& value() { return value_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const absl::Duration ttl_;
  const bool must_be_string_;
  bool had_expiry_ = false;
  std::string value_;
};

// Stores what was loaded, unless the key holds something by now or the load was overtaken: by
// others, so its target tells nobody.
class LoadMutation final : public KeyMutation {
 public:
  LoadMutation(const KeyTarget& target, const LoadTable::Lead* lead, std::string_view value,
               absl::Duration ttl)
      : KeyMutation(target), lead_(lead), value_(value), ttl_(ttl) {}
  size_t EstimatedBytes() const override { return KeyMutation::EstimatedBytes() + value_.size(); }
  // What the key held already. It counts only if the mutation succeeded.
  std::optional<std::string>& present() { return present_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const LoadTable::Lead* const lead_;
  const std::string_view value_;
  const absl::Duration ttl_;
  std::optional<std::string> present_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_MUTATIONS_H_
