#include "shard/mutations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/effects.h"
#include "engine/text.h"
#include "shard/checks.h"
#include "slotkv/limits.h"

namespace slotkv {
namespace {

// Redis's form of an integer: no blanks, plus sign or leading zeros.
bool ParseInteger(std::string_view text, int64_t* value) {
  return absl::SimpleAtoi(ToAbsl(text), value) && ToStd(absl::AlphaNum(*value).Piece()) == text;
}

}  // namespace

uint64_t ExpiryAfter(uint64_t now_ms, absl::Duration ttl) {
  if (ttl == absl::InfiniteDuration()) return 0;
  // At least 1 ms, so that what was set can be read once.
  return now_ms + static_cast<uint64_t>(std::max<int64_t>(1, absl::ToInt64Milliseconds(ttl)));
}

absl::Status WrongType() {
  return absl::FailedPreconditionError("the key holds a value of another type");
}

absl::Status KeyMutation::Read(GroupView* view, ValueType type, ValueHeader* header,
                               std::string* payload) const {
  absl::Status status = view->Get(slot_, key_, header, payload);
  return status.ok() && header->type != type ? WrongType() : status;
}

void KeyMutation::Put(const ValueHeader& header, std::string_view payload,
                      std::string* effects) const {
  AppendPut(slot_, key_, header, payload, effects);
}

void KeyMutation::Delete(std::string* effects) const { AppendDelete(slot_, key_, effects); }

absl::Status SetMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  if (options_.condition != SetCondition::kAlways || options_.keep_ttl) {
    ValueHeader old_header;
    std::string old_payload;
    const absl::Status status = view->Get(slot_, key_, &old_header, &old_payload);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    if (absl::Status checked = CheckCondition(options_.condition, status.ok()); !checked.ok()) {
      return checked;
    }
    if (status.ok() && options_.keep_ttl) header.expiry_ms = old_header.expiry_ms;
  }
  if (!options_.keep_ttl) header.expiry_ms = ExpiryAfter(view->now_ms(), options_.ttl);
  Put(header, value_, effects);
  return absl::OkStatus();
}

absl::Status DeleteMutation::Decide(GroupView* view, std::string* effects) {
  existed_ = false;
  ValueHeader header;
  std::string payload;
  const absl::Status status = view->Get(slot_, key_, &header, &payload);
  if (absl::IsNotFound(status)) return absl::OkStatus();
  if (!status.ok()) return status;
  existed_ = true;
  Delete(effects);
  return absl::OkStatus();
}

absl::Status IncrementMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  std::string payload;
  int64_t value = 0;
  const absl::Status status = Read(view, ValueType::kString, &header, &payload);
  if (status.ok()) {
    if (!ParseInteger(payload, &value)) {
      return absl::FailedPreconditionError("the value is not an integer");
    }
  } else if (absl::IsNotFound(status)) {
    header = ValueHeader{ValueType::kString, ExpiryAfter(view->now_ms(), default_ttl_)};
  } else {
    return status;
  }
  if (__builtin_add_overflow(value, delta_, &sum_)) {
    return absl::OutOfRangeError(
        absl::StrCat("increment or decrement would overflow: ", value, " plus ", delta_));
  }
  Put(header, ToStd(absl::AlphaNum(sum_).Piece()), effects);
  return absl::OkStatus();
}

absl::Status AppendMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  std::string payload;
  const absl::Status status = Read(view, ValueType::kString, &header, &payload);
  if (absl::IsNotFound(status)) {
    header = ValueHeader{ValueType::kString, ExpiryAfter(view->now_ms(), default_ttl_)};
    payload.clear();
  } else if (!status.ok()) {
    return status;
  }
  length_ = payload.size() + suffix_.size();
  if (length_ > kMaxValueBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a value of ", length_, " bytes would exceed ", kMaxValueBytes));
  }
  payload.append(suffix_.data(), suffix_.size());
  Put(header, payload, effects);
  return absl::OkStatus();
}

absl::Status SetRangeMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  std::string payload;
  const absl::Status status = Read(view, ValueType::kString, &header, &payload);
  if (absl::IsNotFound(status)) {
    header = ValueHeader{ValueType::kString, ExpiryAfter(view->now_ms(), default_ttl_)};
    payload.clear();
  } else if (!status.ok()) {
    return status;
  }
  length_ = payload.size();
  if (bytes_.empty()) return absl::OkStatus();
  length_ = std::max<uint64_t>(length_, offset_ + bytes_.size());
  payload.resize(length_);
  payload.replace(offset_, bytes_.size(), bytes_);
  Put(header, payload, effects);
  return absl::OkStatus();
}

absl::Status CompareAndSetMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  std::string payload;
  const absl::Status status = Read(view, ValueType::kString, &header, &payload);
  if (absl::IsNotFound(status)) return absl::FailedPreconditionError("the key does not exist");
  if (!status.ok()) return status;
  if (payload != expected_) return absl::FailedPreconditionError("the value is another");
  Put(header, desired_, effects);
  return absl::OkStatus();
}

absl::Status TouchMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  const absl::Status status = view->Get(slot_, key_, &header, &value_);
  if (!status.ok()) return status;
  if (must_be_string_ && header.type != ValueType::kString) return WrongType();
  had_expiry_ = header.expiry_ms != 0;
  if (ttl_ <= absl::ZeroDuration()) {
    Delete(effects);
    return absl::OkStatus();
  }
  const uint64_t expiry_ms = ExpiryAfter(view->now_ms(), ttl_);
  if (expiry_ms == header.expiry_ms) return absl::OkStatus();
  header.expiry_ms = expiry_ms;
  Put(header, value_, effects);
  return absl::OkStatus();
}

absl::Status LoadMutation::Decide(GroupView* view, std::string* effects) {
  present_.reset();
  ValueHeader header;
  std::string present;
  const absl::Status status = Read(view, ValueType::kString, &header, &present);
  if (status.ok()) {
    present_ = std::move(present);
    return absl::OkStatus();
  }
  if (!absl::IsNotFound(status)) return status;
  if (lead_->overtaken()) return absl::OkStatus();
  Put({ValueType::kString, ExpiryAfter(view->now_ms(), ttl_)}, value_, effects);
  return absl::OkStatus();
}

}  // namespace slotkv
