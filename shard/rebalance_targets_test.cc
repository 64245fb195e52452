#include "shard/rebalance_targets.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

std::vector<Share> Shares(const std::vector<double>& have, const std::vector<double>& weights) {
  std::vector<Share> shares(have.size());
  for (size_t i = 0; i < have.size(); ++i) {
    shares[i].id = ShardId(static_cast<uint32_t>(i + 1));
    shares[i].have = have[i];
    shares[i].weight = weights[i];
  }
  return shares;
}

std::vector<Share> WholeTargets(const std::vector<double>& have, const std::vector<double>& weights,
                                double threshold) {
  std::vector<Share> shares = Shares(have, weights);
  SetTargets(TargetRounding::kWhole, threshold, absl::MakeSpan(shares));
  return shares;
}

std::vector<double> TargetsOf(const std::vector<Share>& shares) {
  std::vector<double> targets;
  for (const Share& share : shares) targets.push_back(share.target);
  return targets;
}

std::vector<double> ChangesOf(const std::vector<Share>& shares) {
  std::vector<double> changes;
  for (const Share& share : shares) changes.push_back(share.change);
  return changes;
}

// What is moved if it is spread as `after` says.
double Moved(const std::vector<Share>& shares, const std::vector<int>& after) {
  double moved = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    moved += std::max(0.0, shares[i].have - after[i]);
  }
  return moved;
}

// Calls `visit` with each way to spread `sum` over `parts`.
void ForEachSpread(int sum, size_t parts,
                   const std::function<void(const std::vector<int>&)>& visit) {
  std::vector<int> spread(parts);
  const std::function<void(size_t, int)> fill = [&](size_t part, int left) {
    if (part + 1 == parts) {
      spread[part] = left;
      visit(spread);
      return;
    }
    for (int amount = 0; amount <= left; ++amount) {
      spread[part] = amount;
      fill(part + 1, left - amount);
    }
  };
  fill(0, sum);
}

// Of all targets that are as close as can be to exact shares, and of all spreads in which those
// beyond the threshold have theirs, the least that has to be moved.
struct BruteForce {
  std::vector<std::vector<int>> closest;
  double least_moved = std::numeric_limits<double>::infinity();

  BruteForce(const std::vector<Share>& shares, int sum, double threshold) {
    double weights = 0;
    for (const Share& share : shares) weights += share.weight;
    const auto exact = [&](size_t i) { return sum * shares[i].weight / weights; };
    double least = std::numeric_limits<double>::infinity();
    ForEachSpread(sum, shares.size(), [&](const std::vector<int>& spread) {
      double squares = 0;
      for (size_t i = 0; i < spread.size(); ++i) squares += std::pow(spread[i] - exact(i), 2);
      if (squares < least - 1e-6) closest.clear();
      if (squares < least + 1e-6) closest.push_back(spread);
      least = std::min(least, squares);
    });
    ForEachSpread(sum, shares.size(), [&](const std::vector<int>& spread) {
      const bool allowed =
          std::any_of(closest.begin(), closest.end(), [&](const std::vector<int>& targets) {
            for (size_t i = 0; i < spread.size(); ++i) {
              const double off = std::fabs(shares[i].have - exact(i));
              if (off > threshold * exact(i) + 1e-9 && spread[i] != targets[i]) return false;
            }
            return true;
          });
      if (allowed) least_moved = std::min(least_moved, Moved(shares, spread));
    });
  }
};

TEST(RebalanceTargetsTest, MovesNoMoreThanBruteForce) {
  std::mt19937_64 random(TestSeed());
  const auto one_of = [&random](const std::vector<double>& values) {
    return values[random() % values.size()];
  };
  int settled_moves = 0;
  for (int round = 0; round < 4000; ++round) {
    const size_t parts = 1 + random() % 4;
    std::vector<double> have(parts), weights(parts);
    int sum = 0;
    for (size_t i = 0; i < parts; ++i) {
      have[i] = static_cast<double>(random() % 5);
      weights[i] = one_of({0, 0.5, 1, 1, 1, 2, 3});
      sum += static_cast<int>(have[i]);
    }
    weights[random() % parts] = 1;
    const double threshold = one_of({0, 0, 0.02, 0.15, 0.3, 0.5, 0.9});
    const std::vector<Share> shares = WholeTargets(have, weights, threshold);

    const BruteForce brute(shares, sum, threshold);
    std::vector<int> targets, after;
    double changes = 0;
    for (const Share& share : shares) {
      SCOPED_TRACE(testing::Message() << share.id << " has " << share.have << ", weight "
                                      << share.weight << ", threshold " << threshold);
      targets.push_back(static_cast<int>(share.target));
      after.push_back(static_cast<int>(share.have + share.change));
      changes += share.change;
      EXPECT_EQ(share.change, std::floor(share.change));
      if (share.Settled(share.have, threshold)) {
        // On its way to the target, if it moves at all.
        EXPECT_LE(std::min(share.have, share.target), after.back());
        EXPECT_GE(std::max(share.have, share.target), after.back());
        settled_moves += share.change != 0;
      } else {
        EXPECT_EQ(after.back(), share.target);
      }
    }
    EXPECT_EQ(changes, 0);
    EXPECT_EQ(std::count(brute.closest.begin(), brute.closest.end(), targets), 1);
    ASSERT_EQ(Moved(shares, after), brute.least_moved)
        << "of " << testing::PrintToString(have) << ", weights " << testing::PrintToString(weights)
        << ", threshold " << threshold << ", to " << testing::PrintToString(after);
  }
  EXPECT_GT(settled_moves, 0);
}

TEST(RebalanceTargetsTest, LargestRemainders) {
  // 10 by 1:2:4 is 1.43, 2.86 and 5.71.
  EXPECT_EQ(TargetsOf(WholeTargets({10, 0, 0}, {1, 2, 4}, 0)), (std::vector<double>{1, 3, 6}));
  // Weights that are no binary fractions, and one that overflows when they are added.
  EXPECT_EQ(TargetsOf(WholeTargets({16384, 0}, {0.1, 0.7}, 0)), (std::vector<double>{2048, 14336}));
  EXPECT_EQ(TargetsOf(WholeTargets({10, 0}, {1.7e308, 1.7e308}, 0)), (std::vector<double>{5, 5}));
}

TEST(RebalanceTargetsTest, EqualRemaindersGoWhereTheyMoveLeast) {
  EXPECT_EQ(TargetsOf(WholeTargets({3, 3, 4}, {1, 1, 1}, 0)), (std::vector<double>{3, 3, 4}));
  EXPECT_EQ(TargetsOf(WholeTargets({0, 0, 10}, {1, 1, 1}, 0)), (std::vector<double>{3, 3, 4}));
  EXPECT_EQ(TargetsOf(WholeTargets({0, 10, 0}, {1, 1, 1}, 0)), (std::vector<double>{3, 4, 3}));
  // 0.1 + 0.2 is not 0.3 exactly; their remainders are equal all the same.
  EXPECT_EQ(TargetsOf(WholeTargets({2, 3}, {0.1 + 0.2, 0.3}, 0)), (std::vector<double>{2, 3}));
  EXPECT_EQ(TargetsOf(WholeTargets({3, 2}, {0.1 + 0.2, 0.3}, 0)), (std::vector<double>{3, 2}));
  // All the same: to the lower id.
  EXPECT_EQ(TargetsOf(WholeTargets({0, 0, 11}, {1, 1, 0}, 0)), (std::vector<double>{6, 5, 0}));
}

TEST(RebalanceTargetsTest, SettledSharesChangeOnlyForOthers) {
  // All within a tenth.
  EXPECT_EQ(ChangesOf(WholeTargets({95, 105, 100}, {1, 1, 1}, 0.1)),
            (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(ChangesOf(WholeTargets({95, 105, 100}, {1, 1, 1}, 0.01)),
            (std::vector<double>{5, -5, 0}));
  // What one has too much goes to those that lack most, and what one lacks comes from those that
  // have most.
  EXPECT_EQ(ChangesOf(WholeTargets({120, 92, 94, 94}, {1, 1, 1, 1}, 0.1)),
            (std::vector<double>{-20, 8, 6, 6}));
  EXPECT_EQ(ChangesOf(WholeTargets({120, 97, 91, 92}, {1, 1, 1, 1}, 0.085)),
            (std::vector<double>{-20, 3, 9, 8}));
  EXPECT_EQ(ChangesOf(WholeTargets({80, 110, 107, 103}, {1, 1, 1, 1}, 0.1)),
            (std::vector<double>{20, -10, -7, -3}));
  EXPECT_EQ(ChangesOf(WholeTargets({90, 121, 108, 81, 100}, {1, 1, 1, 1, 1}, 0.1)),
            (std::vector<double>{2, -21, 0, 19, 0}));
}

TEST(RebalanceTargetsTest, WeightZeroGivesAllWhateverTheThreshold) {
  EXPECT_EQ(ChangesOf(WholeTargets({1, 100, 101}, {0, 1, 1}, 0.5)),
            (std::vector<double>{-1, 1, 0}));
}

TEST(RebalanceTargetsTest, WithoutRounding) {
  std::vector<Share> shares = Shares({10, 0, 1}, {1, 2, 1});
  SetTargets(TargetRounding::kNone, 0, absl::MakeSpan(shares));
  EXPECT_EQ(TargetsOf(shares), (std::vector<double>{2.75, 5.5, 2.75}));
  EXPECT_EQ(ChangesOf(shares), (std::vector<double>{-7.25, 5.5, 1.75}));
}

}  // namespace
}  // namespace slotkv
