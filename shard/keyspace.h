// The data calls: what a Cluster does with keys, and what a Shard handle does with the keys of its
// shard alone.
//
// Keys are 0 to kMaxKeyBytes long, values 0 to kMaxValueBytes; both are binary-safe and copied.
// Every call on one key is linearizable. A key whose expiry has passed is missing to every call at
// once; expiry counts in milliseconds. A key holds a string or a hash: a call for the one on a key
// that holds the other is FailedPrecondition, but for Set, Delete and the calls on expiry, which
// take both.
//
// Errors, by code:
//   NotFound            the key is missing (no text, no allocation)
//   FailedPrecondition  a condition failed, the value is of another type or not a number
//   OutOfRange          arithmetic overflow
//   InvalidArgument     bad input; the text names it
//   ResourceExhausted   the disk is full or a limit is reached; nothing was changed
//   DataLoss            damage on disk, never served, and no other copy may answer; the text names
//                       file and offset
//   Unavailable         certainly not applied
//   DeadlineExceeded    the outcome is unknown: the write may be applied or not, as a whole
//   Cancelled           the cluster is closed
//   Aborted             from a Shard handle alone: another shard owns the slot; redirect.h
//
// Thread safety: any number of threads may call any member. A write waits for other writes, for
// room in the log and for a store that is compacting, each for up to Options::operation_timeout. A
// device that hangs in a read, or in the sync of Fsync::kAlways, holds up the calls of its own
// shard until it answers, and reads that still succeed judge expiry by the time when it began to.
#ifndef SLOTKV_SHARD_KEYSPACE_H_
#define SLOTKV_SHARD_KEYSPACE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "slotkv/ids.h"
#include "slotkv/limits.h"
#include "slotkv/options.h"
#include "slotkv/slot.h"
#include "slotkv/write_batch.h"

namespace slotkv {

class ClusterImpl;

// A key and what it is to hold.
struct KeyValue {
  std::string_view key;
  std::string_view value;
};

// A field of a hash, as it is given.
struct Field {
  std::string_view name;
  std::string_view value;
};

// A field of a hash, as it is read.
struct HashField {
  std::string name;
  std::string value;

  friend bool operator==(const HashField& a, const HashField& b) {
    return a.name == b.name && a.value == b.value;
  }
};

// What a key holds.
enum class KeyType { kString, kHash };

// A key that Scan has found.
struct ScanEntry {
  std::string key;
  KeyType type = KeyType::kString;
  // Of a string, if ScanOptions::values asks for it.
  std::string value;
};

// What one call of Scan returns.
struct ScanPage {
  // In the order of the slots and, within one, bytewise by key.
  std::vector<ScanEntry> entries;
  // For the next page; empty: this is the last. Plain bytes, which mean something to Scan alone;
  // they may be kept, and used in another process.
  std::string cursor;
};

// The calls that Cluster and Shard share; neither is opened as a Keyspace.
class Keyspace {
 public:
  // ---- Strings ----

  // FailedPrecondition if `options.condition` does not hold. Replaces a hash, too.
  absl::Status Set(std::string_view key, std::string_view value, const SetOptions& options = {});

  // The string at `key`; NotFound if there is none.
  absl::StatusOr<std::string> Get(std::string_view key);
  // As above, into `*value`, whose buffer is reused. A missing key leaves it as it was; after
  // another error it is unspecified.
  absl::Status Get(std::string_view key, std::string* value);

  // True if the key existed.
  absl::StatusOr<bool> Delete(std::string_view key);
  absl::StatusOr<bool> Exists(std::string_view key);

  // Adds `delta` to the decimal integer at `key` (missing: 0) and returns the sum; the expiry
  // stays, and a new key gets Options::default_ttl, here as in Append and SetRange.
  // FailedPrecondition if the value is not a 64-bit decimal integer, OutOfRange if the sum is not.
  // (Redis: INCRBY.)
  absl::StatusOr<int64_t> Increment(std::string_view key, int64_t delta);

  // Appends to the value at `key` (missing: empty) and returns the new length; the expiry stays.
  // (Redis: APPEND.)
  absl::StatusOr<uint64_t> Append(std::string_view key, std::string_view suffix);

  // Writes `bytes` over the value at `key` (missing: empty) from `offset` on, with zero bytes in a
  // gap, and returns the new length; the expiry stays. No bytes change nothing. (Redis: SETRANGE.)
  absl::StatusOr<uint64_t> SetRange(std::string_view key, uint64_t offset, std::string_view bytes);

  // Replaces `expected` by `desired`, keeping the expiry; FailedPrecondition if the key is
  // missing or holds something else.
  absl::Status CompareAndSet(std::string_view key, std::string_view expected,
                             std::string_view desired);

  // ---- Many keys ----

  // Each key's own outcome, as Get's, in the order of `keys`, of any slots. Each shard's store is
  // read once and as of one moment: of the keys of one slot, either all or none show a WriteBatch.
  std::vector<absl::StatusOr<std::string>> MultiGet(absl::Span<const std::string_view> keys);
  // As above, into `values` and `statuses`, of the same size as `keys` (else the process is aborted
  // with a message). Buffers are reused; the value of a missing key stays as it was.
  void MultiGet(absl::Span<const std::string_view> keys, absl::Span<std::string> values,
                absl::Span<absl::Status> statuses);

  // Each as Set, on its own: some may succeed where others fail. A key that stands there twice is
  // set twice, in order. Cheaper than as many calls.
  std::vector<absl::Status> MultiSet(absl::Span<const KeyValue> entries,
                                     const SetOptions& options = {});

  // Applies the whole batch at once, or nothing of it: to every reader, and through a crash.
  // InvalidArgument "CROSSSLOT ..." if its keys are not of one slot, or what is wrong with one of
  // them; FailedPrecondition if a condition does not hold. An empty batch does nothing.
  absl::Status Write(const WriteBatch& batch);

  // Deletes every key that begins with `prefix` and was there when the call began. Not atomic: it
  // works in steps of bounded size, beside which others read and write; after an error some are
  // deleted and some are not. Looks at every slot, unless `prefix` has a whole hash tag.
  // The empty prefix is DeleteAll; one longer than kMaxKeyBytes is InvalidArgument.
  absl::Status DeletePrefix(std::string_view prefix);
  // The same for all keys. (Redis: FLUSHALL.)
  absl::Status DeleteAll();

  // ---- Expiry ----

  // The key will live `ttl` from now; a ttl that is not positive deletes it, an infinite one
  // removes the expiry. True if the key existed. (Redis: PEXPIRE.)
  absl::StatusOr<bool> Expire(std::string_view key, absl::Duration ttl);
  // Removes the expiry. True if there was one.
  absl::StatusOr<bool> Persist(std::string_view key);
  // What is left; InfiniteDuration for a key without expiry; NotFound for a missing key.
  absl::StatusOr<absl::Duration> TimeToLive(std::string_view key);
  // Get, and Expire(key, ttl) as one step (sliding sessions). `ttl` must be positive.
  absl::StatusOr<std::string> GetAndTouch(std::string_view key, absl::Duration ttl);

  // ---- Sessions ----

  // The value at `key`, or else the one that `loader(key)` gets from wherever it is kept, which is
  // then stored for `options.ttl`. One loader for a key runs at a time, on its caller's thread and
  // with no lock held; others wait for up to `options.wait_timeout` (then DeadlineExceeded) and get
  // what it has stored. Any write to the key meanwhile wins, be it a Delete of nothing: then
  // nothing is stored, and the call returns what the key holds, or what was loaded if it holds
  // nothing.
  //
  // A loader that fails, or throws, stores nothing; its error, or exception, is its caller's alone,
  // and of those who wait the next runs its own loader. A value that was loaded but could not be
  // stored, for want of space say, is returned all the same (ClusterStats::loads_not_stored). A
  // loader must not call GetOrLoad for its own key, nor Cluster::Close: it would wait for itself.
  absl::StatusOr<std::string> GetOrLoad(
      std::string_view key, absl::FunctionRef<absl::StatusOr<std::string>(std::string_view)> loader,
      const LoadOptions& options = {});

  // ---- Hashes: a key that holds fields ----
  //
  // A hash is one value: each call on it is atomic, it expires as a whole, and a write costs as
  // much as the hash is large. Names and values with 16 bytes for each field come to at most
  // kMaxHashBytes; beyond, a write is ResourceExhausted and changes nothing.

  // Sets fields, and creates the hash if there is none. Returns how many are new. A name that
  // stands there twice has its last value. Without fields it is InvalidArgument. (Redis: HSET.)
  absl::StatusOr<uint64_t> HashSet(std::string_view key, absl::Span<const Field> fields,
                                   const HashSetOptions& options = {});
  // NotFound if the hash or the field is missing. (Redis: HGET.)
  absl::StatusOr<std::string> HashGet(std::string_view key, std::string_view field);
  // All fields, bytewise by name. (Redis: HGETALL.)
  absl::StatusOr<std::vector<HashField>> HashGetAll(std::string_view key);
  // Removes fields and returns how many there were; without its last field the key is gone. (Redis:
  // HDEL.)
  absl::StatusOr<uint64_t> HashDelete(std::string_view key,
                                      absl::Span<const std::string_view> fields);

  // ---- Scans ----

  // One page of keys. A key that is there from before the first page until after the last is seen
  // exactly once; one that comes or goes meanwhile may be seen or not. InvalidArgument for a cursor
  // that no Scan has given. (Redis: SCAN.)
  absl::StatusOr<ScanPage> Scan(const ScanOptions& options = {});
  // Live keys of the slot; reads all of them. Here and below InvalidArgument for a slot that is not
  // below kSlotCount.
  absl::StatusOr<uint64_t> CountKeysInSlot(Slot slot);
  // Up to `limit` live keys of the slot, in bytewise order.
  absl::StatusOr<std::vector<std::string>> KeysInSlot(Slot slot, size_t limit);

 protected:
  // `only`: the shard to which it is restricted.
  explicit Keyspace(std::shared_ptr<ClusterImpl> impl, std::optional<ShardId> only = std::nullopt);
  ~Keyspace();
  Keyspace(const Keyspace&);
  Keyspace& operator=(const Keyspace&);

  const std::shared_ptr<ClusterImpl>& impl() const { return impl_; }
  std::optional<ShardId> only() const { return only_; }

 private:
  std::shared_ptr<ClusterImpl> impl_;
  std::optional<ShardId> only_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_KEYSPACE_H_
