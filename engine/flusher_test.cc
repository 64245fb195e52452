#include "engine/flusher.h"

#include <memory>
#include <vector>

#include "engine/node_test_support.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

class FlusherTest : public testing::Test {
 protected:
  FlusherTest() {
    for (uint32_t i = 0; i < 3; ++i) {
      t_.push_back(std::make_unique<TestNode>(i + 1));
      EXPECT_THAT(t_.back()->Create(), IsOk());
      nodes_.push_back(t_.back()->node.get());
    }
  }

  size_t Total() const {
    size_t total = 0;
    for (Node* const node : nodes_) total += node->store().memtable_bytes();
    return total;
  }

  std::vector<std::unique_ptr<TestNode>> t_;
  std::vector<Node*> nodes_;
};

TEST_F(FlusherTest, NoneWhileMemoryIsPlentifulAndLogsAreShort) {
  EXPECT_EQ(PickNodeToFlush({}, 1000), nullptr);
  ASSERT_THAT(t_[1]->PutMany(10), IsOk());
  EXPECT_EQ(PickNodeToFlush(nodes_, size_t{1} << 30), nullptr);
  EXPECT_EQ(PickNodeToFlush(nodes_, Total() * 2), nullptr);
}

TEST_F(FlusherTest, TheLargestOnceThreeQuartersAreFull) {
  ASSERT_THAT(t_[0]->PutMany(500), IsOk());
  ASSERT_THAT(t_[2]->PutMany(1500), IsOk());
  const size_t total = Total();
  EXPECT_EQ(PickNodeToFlush(nodes_, total), nodes_[2]);
  EXPECT_EQ(PickNodeToFlush(nodes_, total / 3 * 4), nodes_[2]) << "just three quarters";
  EXPECT_EQ(PickNodeToFlush(nodes_, total / 3 * 4 + 100), nullptr);
  ASSERT_THAT(nodes_[2]->Flush(/*wait=*/true), IsOk());
  EXPECT_EQ(PickNodeToFlush(nodes_, Total()), nodes_[0]);
}

}  // namespace
}  // namespace slotkv
