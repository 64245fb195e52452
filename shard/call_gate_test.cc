#include "shard/call_gate.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace slotkv {
namespace {

TEST(CallGateTest, ClosesOnce) {
  const auto gate = std::make_unique<CallGate>();
  EXPECT_TRUE(CallGate::Pass(gate.get()).open());
  EXPECT_TRUE(gate->Close());
  EXPECT_FALSE(CallGate::Pass(gate.get()).open());
  EXPECT_FALSE(gate->Close());
}

TEST(CallGateTest, WaitsForCallsUnderWay) {
  const auto gate = std::make_unique<CallGate>();
  auto first = std::make_unique<CallGate::Pass>(gate.get());
  auto second = std::make_unique<CallGate::Pass>(gate.get());
  ASSERT_TRUE(first->open() && second->open());
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    EXPECT_TRUE(gate->Close());
    closed = true;
  });
  while (CallGate::Pass(gate.get()).open()) std::this_thread::yield();
  EXPECT_FALSE(closed);
  first.reset();
  EXPECT_FALSE(closed);
  second.reset();
  closer.join();
  EXPECT_TRUE(closed);
}

// A call that got in is over before Close returns, whatever the timing.
TEST(CallGateTest, NoCallOutlivesClose) {
  for (int round = 0; round < 50; ++round) {
    const auto gate = std::make_unique<CallGate>();
    std::atomic<bool> closed{false};
    std::atomic<int> ready{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] {
        ++ready;
        while (true) {
          const CallGate::Pass pass(gate.get());
          if (!pass.open()) return;
          EXPECT_FALSE(closed);
        }
      });
    }
    while (ready < 4) std::this_thread::yield();
    EXPECT_TRUE(gate->Close());
    closed = true;
    for (std::thread& caller : callers) caller.join();
  }
}

}  // namespace
}  // namespace slotkv
