#include "tools/buffered_input.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "tools/test_input.h"

namespace slotkv::tools {
namespace {

TEST(BufferedInputTest, LooksAheadAcrossReads) {
  BufferedInput input(StringSource("abcdefgh", 3));
  EXPECT_EQ(input.Lookahead(5)->substr(0, 5), "abcde");
  input.Consume(4);
  EXPECT_EQ(input.offset(), 4);
  EXPECT_EQ(*input.Lookahead(100), "efgh");
  input.Consume(4);
  EXPECT_EQ(*input.Lookahead(1), "");
  EXPECT_EQ(input.offset(), 8);
}

TEST(BufferedInputTest, MovesWhatIsLeftToTheFront) {
  const std::string bytes(3 * BufferedInput::kBufferBytes, 'x');
  BufferedInput input(StringSource(bytes + "end"));
  ASSERT_EQ(input.Lookahead(BufferedInput::kBufferBytes)->size(), BufferedInput::kBufferBytes);
  input.Consume(BufferedInput::kBufferBytes - 1);
  EXPECT_EQ(input.Lookahead(BufferedInput::kBufferBytes)->size(), BufferedInput::kBufferBytes);
  input.Consume(BufferedInput::kBufferBytes);
  input.Consume(input.Lookahead(1)->size());
  while (!input.Lookahead(1)->empty()) input.Consume(1);
  EXPECT_EQ(input.offset(), bytes.size() + 3);
}

TEST(FdSourceTest, ReadsAPipeToItsEnd) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "abc", 3), 3);
  close(ends[1]);
  BufferedInput input(FdSource(ends[0]));
  EXPECT_EQ(*input.Lookahead(10), "abc");
  close(ends[0]);
}

TEST(FdSourceTest, IsStoppedWhileThereIsNothingToRead) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int stop = eventfd(1, 0);
  BufferedInput input(FdSource(ends[0], stop));
  EXPECT_TRUE(absl::IsCancelled(input.Lookahead(1).status()));
  close(stop);
  close(ends[0]);
  close(ends[1]);
}

TEST(FdSourceTest, ReportsReadErrors) {
  BufferedInput input(FdSource(-1));
  EXPECT_FALSE(input.Lookahead(1).ok());
}

}  // namespace
}  // namespace slotkv::tools
