#include "tools/resp_reader.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"
#include "tools/test_input.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Command = std::vector<std::string>;

struct Stream {
  std::vector<Command> commands;
  std::vector<uint64_t> offsets;
  absl::Status status;
  uint64_t command_offset = 0;
};

Stream ReadAll(std::string bytes, size_t part_bytes_max = SIZE_MAX) {
  BufferedInput input(StringSource(std::move(bytes), part_bytes_max));
  RespReader reader(&input);
  Stream stream;
  for (Command command;;) {
    absl::StatusOr<bool> more = reader.Next(&command);
    stream.command_offset = reader.command_offset();
    stream.status = more.status();
    if (!more.ok() || !*more) return stream;
    stream.commands.push_back(command);
    stream.offsets.push_back(reader.command_offset());
  }
}

std::string Multibulk(const Command& command) {
  std::string bytes = absl::StrCat("*", command.size(), "\r\n");
  for (const std::string& argument : command) {
    absl::StrAppend(&bytes, "$", argument.size(), "\r\n", argument, "\r\n");
  }
  return bytes;
}

TEST(RespReaderTest, ReadsMultibulksWithTheirOffsets) {
  const Stream stream = ReadAll("*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n");
  EXPECT_TRUE(stream.status.ok()) << stream.status;
  EXPECT_THAT(stream.commands, ElementsAre(Command{"DEL", "k"}, Command{"PING"}));
  EXPECT_THAT(stream.offsets, ElementsAre(0, 20));
  EXPECT_EQ(stream.command_offset, 34);
}

TEST(RespReaderTest, KeepsAnyBytes) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes.push_back(static_cast<char>(byte));
  const Command command{"SET", "a\r\n$3\r\nb", all_bytes, ""};
  for (const size_t part_bytes : {size_t{1}, size_t{7}, SIZE_MAX}) {
    const Stream stream = ReadAll(Multibulk(command), part_bytes);
    EXPECT_TRUE(stream.status.ok()) << stream.status;
    EXPECT_THAT(stream.commands, ElementsAre(command));
  }
}

TEST(RespReaderTest, ReadsValuesLargerThanTheBuffer) {
  const Command command{"SET", "k", std::string(3 * BufferedInput::kBufferBytes + 17, 'x')};
  const Stream stream = ReadAll(Multibulk(command) + Multibulk({"PING"}), 100'000);
  EXPECT_TRUE(stream.status.ok()) << stream.status;
  EXPECT_THAT(stream.commands, ElementsAre(command, Command{"PING"}));
}

TEST(RespReaderTest, ReadsInlineCommandsBetweenMultibulks) {
  const Stream stream = ReadAll("SET a 1\r\n*1\r\n$4\r\nPING\r\n  get\ta \n");
  EXPECT_TRUE(stream.status.ok()) << stream.status;
  EXPECT_THAT(stream.commands,
              ElementsAre(Command{"SET", "a", "1"}, Command{"PING"}, Command{"get", "a"}));
}

TEST(RespReaderTest, PassesOverWhatIsNoCommand) {
  const Stream stream =
      ReadAll("\r\n\n*0\r\n*-1\r\n#TS:1700000000\r\nPING\r\n \r\n#TS:1700000001\r\n");
  EXPECT_TRUE(stream.status.ok()) << stream.status;
  EXPECT_THAT(stream.commands, ElementsAre(Command{"PING"}));
  EXPECT_TRUE(ReadAll("").status.ok());
}

TEST(SplitArgumentsTest, FollowsRedisQuoting) {
  EXPECT_THAT(*SplitArguments(R"(SET k "a b\n\x00\xfF\"\q" 'it\'s "raw\n"' "")"),
              ElementsAre("SET", "k", std::string("a b\n\0\xff\"q", 8), "it's \"raw\\n\"", ""));
  EXPECT_THAT(*SplitArguments("a\"b c\""), ElementsAre("ab c"));
  EXPECT_THAT(*SplitArguments(R"("\xg1" "\x1")"), ElementsAre("xg1", "x1"));
  EXPECT_THAT(*SplitArguments(" \t "), IsEmpty());
  for (const char* const broken : {"\"a", "'a", "\"a\"b", "'a'b", "\"a\\", "a \""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SplitArguments(broken).status())) << broken;
  }
}

TEST(ParseRedisIntegerTest, IsAsStrictAsRedis) {
  int64_t number = 0;
  for (const char* const right : {"0", "-1", "7", "9223372036854775807", "-9223372036854775808"}) {
    EXPECT_TRUE(ParseRedisInteger(right, &number)) << right;
    EXPECT_EQ(absl::StrCat(number), right);
  }
  for (const char* const wrong :
       {"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "0x1", "1.0", "9223372036854775808"}) {
    EXPECT_FALSE(ParseRedisInteger(wrong, &number)) << wrong;
  }
}

struct Broken {
  const char* name;
  std::string bytes;
  // Both are in the message.
  std::string begins_at;
  std::string wrong_at;
};

TEST(RespReaderTest, NamesTheByteOfAMalformedCommand) {
  const std::string before = Multibulk({"PING"});  // 14 bytes
  const Broken cases[] = {
      {"garbage", "\x89PNG\r\n", "byte 14:", "at byte 14, found \"\\x89\""},
      {"reply", "+OK\r\n", "byte 14:", "at byte 14"},
      {"no bulk", "*1\r\nPING\r\n", "byte 14:", "at byte 18, found \"P\""},
      {"count", "*x\r\n", "byte 14:", "at byte 14"},
      {"count with space", "* 1\r\n", "byte 14:", "at byte 14"},
      {"no count", "*\r\n", "byte 14:", "at byte 14"},
      {"bare newline", "*1\n$4\nPING\n", "byte 14:", "at byte 14"},
      {"count over int", "*2147483648\r\n", "byte 14:", "at byte 14"},
      {"negative bulk", "*1\r\n$-1\r\n", "byte 14:", "at byte 18, found $-1"},
      {"bulk over 512 MB", "*1\r\n$536870913\r\n", "byte 14:", "at byte 18"},
      {"bulk overflow", "*1\r\n$18446744073709551615\r\n", "byte 14:", "at byte 18"},
      {"short bulk", "*1\r\n$2\r\nPING\r\n", "byte 14:", "at byte 24, found \"NG\""},
      {"long bulk", "*2\r\n$6\r\nPING\r\n$1\r\na\r\n", "byte 14:", "at byte 28, found \"$1\""},
      {"quotes", "SET a \"b\r\n", "byte 14:", "at byte 14"},
      {"zero byte", std::string("SET a\0b\r\n", 9), "byte 14:", "at byte 19, found a zero byte"},
  };
  for (const Broken& broken : cases) {
    for (const size_t part_bytes : {size_t{1}, SIZE_MAX}) {
      const Stream stream = ReadAll(before + broken.bytes, part_bytes);
      EXPECT_TRUE(absl::IsInvalidArgument(stream.status)) << broken.name << stream.status;
      EXPECT_THAT(
          std::string(stream.status.message()),
          AllOf(HasSubstr("malformed command at " + broken.begins_at), HasSubstr(broken.wrong_at)))
          << broken.name;
      EXPECT_THAT(stream.commands, ElementsAre(Command{"PING"})) << broken.name;
      EXPECT_EQ(stream.command_offset, 14) << broken.name;
    }
  }
}

TEST(RespReaderTest, RefusesLinesOver64KiB) {
  const std::string longest = "SET a " + std::string(kRespLineBytesMax - 7, 'x') + "\r\n";
  EXPECT_TRUE(ReadAll(longest).status.ok()) << ReadAll(longest).status;
  for (const std::string& line : {"SET a " + std::string(kRespLineBytesMax, 'x') + "\r\n",
                                  "SET a " + std::string(10 * kRespLineBytesMax, 'x'),
                                  "*1\r\n$" + std::string(2 * kRespLineBytesMax, '1') + "\r\n"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ReadAll(line).status)) << ReadAll(line).status;
    EXPECT_TRUE(absl::IsInvalidArgument(ReadAll(line, 1000).status));
  }
}

// Announced lengths cost nothing: this test would need two billion elements otherwise.
TEST(RespReaderTest, TakesMemoryForWhatArrives) {
  const Stream many = ReadAll("*2147483647\r\n$1\r\na\r\n");
  EXPECT_TRUE(absl::IsDataLoss(many.status)) << many.status;
  const Stream large = ReadAll("*2\r\n$3\r\nSET\r\n$536870912\r\nabc");
  EXPECT_TRUE(absl::IsDataLoss(large.status)) << large.status;
}

TEST(RespReaderTest, RefusesCommandsOverOneGibibyte) {
  // The third announces more than there may be in all, so it need not arrive.
  uint64_t sent = 0;
  const std::string head = "*4\r\n$536870912\r\n";
  const uint64_t first_end = head.size() + kRespBulkBytesMax;
  const std::string second = "\r\n$536870912\r\n";
  BufferedInput input([&](char* buffer, size_t size) -> absl::StatusOr<size_t> {
    for (size_t i = 0; i < size; ++i, ++sent) {
      buffer[i] = sent < head.size() ? head[sent]
                  : sent < first_end || sent >= first_end + second.size()
                      ? 'x'
                      : second[sent - first_end];
    }
    return size;
  });
  RespReader reader(&input);
  Command command;
  const absl::StatusOr<bool> more = reader.Next(&command);
  EXPECT_TRUE(absl::IsInvalidArgument(more.status())) << more.status();
  EXPECT_THAT(std::string(more.status().message()), HasSubstr("1073741824 bytes in one command"));
}

TEST(RespReaderTest, SaysWhereATruncatedStreamEnds) {
  const std::string whole = Multibulk({"SET", "key", "some value"}) + "GET key\r\n";
  const size_t first_bytes = Multibulk({"SET", "key", "some value"}).size();
  for (size_t size = 0; size <= whole.size(); ++size) {
    const Stream stream = ReadAll(whole.substr(0, size), 3);
    if (size == 0 || size == first_bytes || size == whole.size()) {
      EXPECT_TRUE(stream.status.ok()) << size << stream.status;
      continue;
    }
    const uint64_t begin = size < first_bytes ? 0 : first_bytes;
    EXPECT_TRUE(absl::IsDataLoss(stream.status)) << size << stream.status;
    EXPECT_THAT(std::string(stream.status.message()),
                HasSubstr(absl::StrCat("truncated command at byte ", begin, ":")));
    EXPECT_EQ(stream.commands.size(), begin == 0 ? 0 : 1) << size;
    EXPECT_EQ(stream.command_offset, begin);
  }
}

TEST(RespReaderTest, PassesOnTheErrorsOfItsInput) {
  BufferedInput input(
      [](char*, size_t) -> absl::StatusOr<size_t> { return absl::UnavailableError("disk"); });
  RespReader reader(&input);
  Command command;
  EXPECT_TRUE(absl::IsUnavailable(reader.Next(&command).status()));
}

// Valid streams with a few bytes changed: whatever the reader makes of them, it ends, and every
// command before the first change is read.
TEST(RespReaderTest, SurvivesDamage) {
  std::mt19937_64 generator(TestSeed());
  const auto below = [&generator](uint64_t bound) { return generator() % bound; };
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    std::vector<size_t> ends;
    for (int i = 0; i < 20; ++i) {
      bytes += Multibulk({"SET", std::string(below(20), 'k'), std::string(below(40), '\r')});
      ends.push_back(bytes.size());
    }
    size_t first_change = bytes.size();
    for (uint64_t changes = 1 + below(3); changes > 0; --changes) {
      const size_t at = below(bytes.size());
      bytes[at] = static_cast<char>(below(2) == 0 ? below(256) : "*$\r\n0-9"[below(7)]);
      first_change = std::min(first_change, at);
    }
    const size_t whole = std::upper_bound(ends.begin(), ends.end(), first_change) - ends.begin();
    const Stream stream = ReadAll(bytes, 1 + below(100));
    EXPECT_GE(stream.commands.size(), whole);
    EXPECT_TRUE(stream.status.ok() || absl::IsDataLoss(stream.status) ||
                absl::IsInvalidArgument(stream.status))
        << stream.status;
  }
}

TEST(RespReaderTest, SurvivesGarbage) {
  std::mt19937_64 generator(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (uint64_t size = generator() % 300; size > 0; --size) {
      bytes.push_back(static_cast<char>(generator() % 4 == 0 ? "*$\r\n10\"'"[generator() % 8]
                                                             : generator() % 256));
    }
    const Stream stream = ReadAll(bytes, 1 + generator() % 50);
    EXPECT_LE(stream.command_offset, bytes.size());
  }
}

}  // namespace
}  // namespace slotkv::tools
