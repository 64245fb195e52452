// Many writes of one caller, and slots that are cleared among them.
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/group.h"
#include "replication/group_test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kDeadlineExceeded = absl::StatusCode::kDeadlineExceeded;

// Writes that are to be brought together.
class Writes {
 public:
  explicit Writes(TestGroup* t) : t_(t) {}

  Writes& Add(LambdaMutation::Function function, size_t estimated_bytes = 100) {
    mutations_.emplace_back(std::move(function), estimated_bytes);
    writes_.push_back({&mutations_.back(), {&t_->word, t_->word}, absl::OkStatus(), 0});
    return *this;
  }
  // As a guard that looks at `word`.
  Writes& GuardedBy(const std::atomic<uint64_t>* word, uint64_t expected) {
    writes_.back().guard = {word, expected};
    return *this;
  }
  Writes& Logs(std::string effects) {
    return Add([effects = std::move(effects)](GroupView*, std::string* out) {
      *out = effects;
      return absl::OkStatus();
    });
  }
  // Notes what it sees of the key; nothing: missing.
  Writes& Sees(uint16_t slot, std::string key, std::optional<std::string>* seen) {
    return Add([=](GroupView* view, std::string*) -> absl::Status {
      ValueHeader header;
      std::string payload;
      const absl::Status status = view->Get(slot, key, &header, &payload);
      *seen = status.ok() ? std::make_optional(payload) : std::nullopt;
      return absl::IsNotFound(status) ? absl::OkStatus() : status;
    });
  }
  Writes& Fails(const absl::Status& status) {
    return Add([status](GroupView*, std::string* effects) {
      *effects = PutEffect(1, "of a failed one", "x");
      return status;
    });
  }

  void Run() { t_->group->WriteMany(absl::MakeSpan(writes_)); }
  const absl::Status& status(size_t i) const { return writes_.at(i).status; }
  size_t effect_bytes(size_t i) const { return writes_.at(i).effect_bytes; }
  void ExpectAllOk() const {
    for (const GroupWrite& write : writes_) EXPECT_THAT(write.status, IsOk());
  }

 private:
  TestGroup* const t_;
  std::deque<LambdaMutation> mutations_;
  std::vector<GroupWrite> writes_;
};

class GroupManyTest : public testing::Test {
 protected:
  GroupManyTest() { EXPECT_THAT(t_.Create(), IsOk()); }

  // The payloads of the log's writes.
  std::vector<std::string> Logged() {
    std::vector<std::string> payloads;
    EXPECT_THAT(t_.node->log().Read(std::nullopt,
                                    [&](const Record& record) {
                                      if (record.kind == RecordKind::kWrite) {
                                        payloads.emplace_back(record.payload);
                                      }
                                      return absl::OkStatus();
                                    }),
                IsOk());
    return payloads;
  }

  TestGroup t_;
};

TEST_F(GroupManyTest, InOrderAndEachOnItsOwn) {
  Writes writes(&t_);
  writes.Logs(PutEffect(1, "a", "1"))
      .Fails(absl::FailedPreconditionError("not so"))
      .Logs(PutEffect(1, "a", "2") + PutEffect(1, "b", "3"))
      .Logs("")
      .Logs(PutEffect(1, "a", "4"));
  writes.Run();
  EXPECT_THAT(writes.status(1), HasError(kFailedPrecondition, "not so"));
  for (const size_t i : {0, 2, 3, 4}) EXPECT_THAT(writes.status(i), IsOk()) << i;
  EXPECT_THAT(Logged(),
              ElementsAre(PutEffect(1, "a", "1"), PutEffect(1, "a", "2") + PutEffect(1, "b", "3"),
                          PutEffect(1, "a", "4")));
  EXPECT_EQ(writes.effect_bytes(0), PutEffect(1, "a", "1").size());
  EXPECT_EQ(writes.effect_bytes(1), 0u);
  EXPECT_EQ(writes.effect_bytes(2), 2 * PutEffect(1, "a", "1").size());
  EXPECT_EQ(writes.effect_bytes(3), 0u);
  EXPECT_EQ(*t_.Get("a"), "4");
  EXPECT_EQ(*t_.Get("b"), "3");
  EXPECT_THAT(t_.Get("of a failed one"), HasCode(kNotFound));
  EXPECT_EQ(t_.node->applied(), t_.last());
}

TEST_F(GroupManyTest, EachSeesWhatTheSameCallerDidBefore) {
  ASSERT_THAT(t_.Put("stored", "old"), IsOk());
  std::optional<std::string> stored, put, deleted, failed;
  Writes writes(&t_);
  writes.Sees(1, "stored", &stored)
      .Logs(PutEffect(1, "stored", "new"))
      .Fails(absl::FailedPreconditionError("not so"))
      .Sees(1, "stored", &put)
      .Sees(1, "of a failed one", &failed)
      .Logs(DeleteEffect(1, "stored"))
      .Sees(1, "stored", &deleted);
  writes.Run();
  EXPECT_EQ(stored, "old");
  EXPECT_EQ(put, "new");
  EXPECT_EQ(failed, std::nullopt);
  EXPECT_EQ(deleted, std::nullopt);
  EXPECT_THAT(t_.Get("stored"), HasCode(kNotFound));
}

TEST_F(GroupManyTest, AGuardInTheMiddleStopsItsOwnWriteAlone) {
  std::atomic<uint64_t> other{5};
  bool evaluated = false;
  Writes writes(&t_);
  writes.Logs(PutEffect(1, "a", "1"))
      .Add([&](GroupView*, std::string* effects) {
        evaluated = true;
        *effects = PutEffect(1, "a", "guarded");
        return absl::OkStatus();
      })
      .GuardedBy(&other, 4)
      .Logs(PutEffect(1, "b", "2"))
      .GuardedBy(&other, 5)
      // From here on the caller's word is another.
      .Add([&](GroupView*, std::string* effects) {
        t_.word = 1;
        *effects = PutEffect(1, "c", "3");
        return absl::OkStatus();
      })
      .Logs(PutEffect(1, "a", "late"))
      .Logs(PutEffect(1, "b", "4"))
      .GuardedBy(&other, 5);
  writes.Run();
  EXPECT_FALSE(evaluated);
  for (const size_t i : {0, 2, 3, 5}) EXPECT_THAT(writes.status(i), IsOk()) << i;
  for (const size_t i : {1, 4}) {
    EXPECT_THAT(writes.status(i), HasCode(absl::StatusCode::kAborted)) << i;
    EXPECT_EQ(writes.effect_bytes(i), 0u);
  }
  EXPECT_EQ(*t_.Get("a"), "1");
  EXPECT_EQ(*t_.Get("b"), "4");
  EXPECT_EQ(*t_.Get("c"), "3");
}

// ---- Failures ----

// One of every kind, before and behind the first that is logged.
Writes OneOfEveryKind(TestGroup* t, const std::atomic<uint64_t>* foreign) {
  Writes writes(t);
  writes.Fails(absl::FailedPreconditionError("on its own"))
      .Logs("")
      .Logs("")
      .GuardedBy(foreign, 1)
      .Logs(PutEffect(1, "a", "1"))
      .Fails(absl::FailedPreconditionError("on what may not be"))
      .Logs("")
      .Logs("")
      .GuardedBy(foreign, 1)
      .Logs(PutEffect(1, "b", "2"));
  return writes;
}

void ExpectFailedFromTheFirstThatLogs(const Writes& writes, absl::StatusCode code) {
  EXPECT_THAT(writes.status(0), HasError(kFailedPrecondition, "on its own"));
  EXPECT_THAT(writes.status(1), IsOk());
  EXPECT_THAT(writes.status(2), HasCode(absl::StatusCode::kAborted));
  for (const size_t i : {3, 4, 5, 7}) EXPECT_THAT(writes.status(i), HasCode(code)) << i;
  // That one was certainly not done, whatever became of the others.
  EXPECT_THAT(writes.status(6), HasCode(absl::StatusCode::kAborted));
}

TEST_F(GroupManyTest, AFailureInTheLogIsOfAllThatMayRestOnIt) {
  const std::atomic<uint64_t> foreign{0};
  t_.t.hook->Fail(FileOp::kWrite, absl::UnavailableError("broken disk"), "/log/");
  Writes writes = OneOfEveryKind(&t_, &foreign);
  writes.Run();
  ExpectFailedFromTheFirstThatLogs(writes, kDeadlineExceeded);
  EXPECT_THAT(t_.Get("a"), HasCode(kNotFound)) << "applied though not logged";
  t_.t.hook->Heal();
  Writes later(&t_);
  later.Logs(PutEffect(1, "a", "1")).Logs("");
  later.Run();
  for (const size_t i : {0, 1}) {
    EXPECT_THAT(later.status(i), HasError(absl::StatusCode::kUnavailable, "broken disk"));
  }
}

TEST_F(GroupManyTest, AFailureBehindTheLogLeavesTheOutcomeUnknown) {
  t_.options.sync = SyncPolicy::kAlways;
  ASSERT_THAT(t_.Open(), IsOk());
  const std::atomic<uint64_t> foreign{0};
  t_.t.hook->Fail(FileOp::kSync, absl::UnavailableError("broken disk"), "/log/");
  Writes writes = OneOfEveryKind(&t_, &foreign);
  writes.Run();
  ExpectFailedFromTheFirstThatLogs(writes, kDeadlineExceeded);
  t_.t.hook->Heal();
  // They were in the log, so they have come to be, all of them.
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get("a"), "1");
  EXPECT_EQ(*t_.Get("b"), "2");
}

TEST_F(GroupManyTest, AFullDiskIsOfAllThatWouldHaveRestedOnThem) {
  const std::atomic<uint64_t> foreign{0};
  const LogIndex last = t_.last();
  t_.t.hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  Writes writes = OneOfEveryKind(&t_, &foreign);
  writes.Logs(PutEffect(1, "large", std::string(100000, 'v')));  // there is no room for it
  writes.Run();
  ExpectFailedFromTheFirstThatLogs(writes, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(writes.status(8), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(t_.last(), last);
  EXPECT_THAT(t_.Get("a"), HasCode(kNotFound));
  t_.t.hook->Heal();
  Writes again = OneOfEveryKind(&t_, &foreign);
  again.Run();
  EXPECT_EQ(*t_.Get("a"), "1");
  EXPECT_EQ(*t_.Get("b"), "2");
}

TEST_F(GroupManyTest, OnesThatWaitTooLongAreGivenUpTogether) {
  t_.options.operation_timeout = absl::Milliseconds(30);
  ASSERT_THAT(t_.Open(), IsOk());
  HangingWrite leader(&t_);
  const LogIndex last = t_.last();
  Writes writes(&t_);
  bool evaluated = false;
  for (int i = 0; i < 3; ++i) {
    writes.Add([&](GroupView*, std::string*) {
      evaluated = true;
      return absl::OkStatus();
    });
  }
  writes.Run();
  for (const size_t i : {0, 1, 2}) {
    EXPECT_THAT(writes.status(i), HasCode(absl::StatusCode::kUnavailable));
  }
  leader.LetGo();
  EXPECT_FALSE(evaluated);
  EXPECT_EQ(t_.last(), last);
}

// ---- Bounds ----

TEST_F(GroupManyTest, AsManyAsAGroupTakes) {
  Writes most(&t_);
  for (size_t i = 0; i < Group::kMaxWrites; ++i) {
    most.Logs(PutEffect(1, "key" + std::to_string(i), std::to_string(i)));
  }
  most.Run();
  most.ExpectAllOk();
  EXPECT_EQ(Logged().size(), Group::kMaxWrites);
  EXPECT_EQ(*t_.Get("key255"), "255");
  most.Logs("");
  EXPECT_DEATH(most.Run(), "check failed");
  EXPECT_DEATH(t_.group->WriteMany({}), "check failed");
}

// The writes of one caller stay together, and a group takes no more callers than its bound allows.
TEST_F(GroupManyTest, CallersWithManyDoNotExceedAGroupTogether) {
  constexpr size_t kEach = 100;
  constexpr int kCallers = 8;
  // Time goes on with every write, but a write group sees its beginning only.
  std::map<uint64_t, size_t> writes_by_time;  // the leaders write, one at a time
  std::deque<Writes> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    Writes& writes = callers.emplace_back(&t_);
    for (size_t i = 0; i < kEach; ++i) {
      const std::string effects = PutEffect(1, std::to_string(caller), std::to_string(i));
      writes.Add([&, effects](GroupView* view, std::string* out) {
        ++writes_by_time[view->now_ms()];
        t_.t.clock.Advance(absl::Milliseconds(1));
        *out = effects;
        return absl::OkStatus();
      });
    }
  }
  std::vector<std::thread> threads;
  {
    HangingWrite leader(&t_);
    for (Writes& writes : callers) threads.emplace_back([&writes] { writes.Run(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Writes& writes : callers) writes.ExpectAllOk();
  for (const auto& [time, writes] : writes_by_time) EXPECT_LE(writes, Group::kMaxWrites) << time;

  const std::vector<std::string> logged = Logged();
  ASSERT_EQ(logged.size(), kCallers * kEach);
  std::vector<int> order;
  for (size_t i = 0; i < logged.size(); i += kEach) {
    int of_caller = -1;
    for (int caller = 0; caller < kCallers; ++caller) {
      if (logged[i] == PutEffect(1, std::to_string(caller), "0")) of_caller = caller;
    }
    ASSERT_GE(of_caller, 0) << "others' writes in between";
    order.push_back(of_caller);
    for (size_t j = 0; j < kEach; ++j) {
      ASSERT_EQ(logged[i + j], PutEffect(1, std::to_string(of_caller), std::to_string(j)));
    }
  }
  EXPECT_THAT(order, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

// What one caller brings is not cut, however large; those behind are not lost.
TEST_F(GroupManyTest, LargerThanTheyWereEstimated) {
  std::deque<Writes> callers;
  for (int caller = 0; caller < 3; ++caller) {
    Writes& writes = callers.emplace_back(&t_);
    for (int i = 0; i < 4; ++i) {
      writes.Logs(PutEffect(1, std::to_string(caller) + "." + std::to_string(i),
                            std::string(400000, static_cast<char>('a' + i))));
    }
  }
  std::vector<std::thread> threads;
  {
    HangingWrite leader(&t_);
    for (Writes& writes : callers) threads.emplace_back([&writes] { writes.Run(); });
    threads.emplace_back([&] { EXPECT_THAT(t_.Put("single", "value"), IsOk()); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Writes& writes : callers) writes.ExpectAllOk();
  for (int caller = 0; caller < 3; ++caller) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(*t_.Get(std::to_string(caller) + "." + std::to_string(i)),
                std::string(400000, static_cast<char>('a' + i)));
    }
  }
  EXPECT_EQ(*t_.Get("single"), "value");
}

TEST_F(GroupManyTest, IncrementsOfManyThreadsAddUp) {
  constexpr int kThreads = 6, kRounds = 40;
  std::vector<std::thread> threads;
  std::atomic<int> total{0};
  const uint64_t seed = TestSeed();
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + static_cast<uint64_t>(t));
      for (int round = 0; round < kRounds; ++round) {
        Writes writes(&t_);
        const int count = 1 + static_cast<int>(random() % 100);
        for (int i = 0; i < count; ++i) {
          writes.Add([](GroupView* view, std::string* effects) {
            ValueHeader header;
            std::string payload = "0";
            const absl::Status status = view->Get(1, "counter", &header, &payload);
            if (!status.ok() && !absl::IsNotFound(status)) return status;
            *effects = PutEffect(1, "counter", std::to_string(std::stoi(payload) + 1));
            return absl::OkStatus();
          });
        }
        writes.Run();
        writes.ExpectAllOk();
        total += count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*t_.Get("counter"), std::to_string(total));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(*t_.Get("counter"), std::to_string(total));
}

// ---- Clears ----

TEST_F(GroupManyTest, AClearIsSeenByTheWritesBehindIt) {
  ASSERT_THAT(t_.Put("stored", "old"), IsOk());
  ASSERT_THAT(t_.Put("again", "old"), IsOk());
  std::optional<std::string> before, stored, put_before, put_after, deleted, other_slot, at_last;
  Writes writes(&t_);
  writes.Logs(PutEffect(1, "put before", "1") + PutEffect(2, "other", "2"))
      .Sees(1, "stored", &before)
      .Logs(ClearEffect(1))
      .Sees(1, "stored", &stored)
      .Sees(1, "put before", &put_before)
      .Sees(2, "other", &other_slot)
      .Logs(PutEffect(1, "again", "new") + PutEffect(1, "brief", "new"))
      .Sees(1, "again", &put_after)
      .Logs(DeleteEffect(1, "brief"))
      .Sees(1, "brief", &deleted)
      .Sees(1, "stored", &at_last);
  writes.Run();
  writes.ExpectAllOk();
  EXPECT_EQ(before, "old");
  EXPECT_EQ(stored, std::nullopt);
  EXPECT_EQ(put_before, std::nullopt);
  EXPECT_EQ(other_slot, "2");
  EXPECT_EQ(put_after, "new");
  EXPECT_EQ(deleted, std::nullopt);
  EXPECT_EQ(at_last, std::nullopt);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(*t_.Get("again"), "new");
    for (const char* const gone : {"stored", "put before", "brief"}) {
      EXPECT_THAT(t_.Get(gone), HasCode(kNotFound)) << gone;
    }
    ASSERT_THAT(t_.Open(), IsOk());
  }
}

TEST_F(GroupManyTest, AClearTakesTheEffectsOfItsOwnWrite) {
  std::optional<std::string> a, b;
  Writes writes(&t_);
  writes.Logs(PutEffect(1, "a", "1") + ClearEffect(1) + PutEffect(1, "b", "2"))
      .Sees(1, "a", &a)
      .Sees(1, "b", &b)
      .Logs(ClearEffect(1) + ClearEffect(1));
  writes.Run();
  writes.ExpectAllOk();
  EXPECT_EQ(a, std::nullopt);
  EXPECT_EQ(b, "2");
  EXPECT_THAT(t_.Get("b"), HasCode(kNotFound));
}

TEST_F(GroupManyTest, AClearOfSeveralSlots) {
  std::optional<std::string> below, first, last, above, again;
  Writes writes(&t_);
  for (const uint16_t slot : {1, 2, 4, 5}) writes.Logs(PutEffect(slot, "key", "1"));
  writes.Logs(ClearEffect(2, 4))
      .Sees(1, "key", &below)
      .Sees(2, "key", &first)
      .Sees(4, "key", &last)
      .Sees(5, "key", &above)
      .Logs(PutEffect(4, "key", "2"))
      .Sees(4, "key", &again);
  writes.Run();
  writes.ExpectAllOk();
  EXPECT_EQ(below, "1");
  EXPECT_EQ(first, std::nullopt);
  EXPECT_EQ(last, std::nullopt);
  EXPECT_EQ(above, "1");
  EXPECT_EQ(again, "2");
}

TEST_F(GroupManyTest, AClearOfAFailedWriteIsNotSeen) {
  ASSERT_THAT(t_.Put("stored", "old"), IsOk());
  std::optional<std::string> stored;
  Writes writes(&t_);
  writes
      .Add([](GroupView*, std::string* effects) {
        *effects = ClearEffect(1);
        return absl::FailedPreconditionError("not so");
      })
      .Sees(1, "stored", &stored);
  writes.Run();
  EXPECT_EQ(stored, "old");
  EXPECT_EQ(*t_.Get("stored"), "old");
}

}  // namespace
}  // namespace slotkv
