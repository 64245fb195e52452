// Reads the commands of a RESP stream: Redis mass-insertion files and append-only files.
//
// A command is a multibulk,
//
//   *2\r\n$3\r\nDEL\r\n$7\r\nsession\r\n
//
// or an inline command, one line with Redis's quoting rules:
//
//   SET greeting "hello\r\nworld" EX 60
//
// Empty lines, empty multibulks and the annotations of append-only files (lines that begin with
// '#') are passed over. Where Redis takes broken input for something else (a line end that is not
// \r\n, a bulk that is longer than it says), this reader refuses it.
#ifndef SLOTKV_TOOLS_RESP_READER_H_
#define SLOTKV_TOOLS_RESP_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/buffered_input.h"

namespace slotkv::tools {

// Redis's own limits.
inline constexpr size_t kRespLineBytesMax = size_t{64} << 10;
inline constexpr int64_t kRespBulkBytesMax = int64_t{512} << 20;
inline constexpr int64_t kRespArgumentsMax = std::numeric_limits<int32_t>::max();
// All arguments of one command, each counted with the memory that an empty string takes.
inline constexpr size_t kRespCommandBytesMax = size_t{1} << 30;

// Splits a line as Redis splits inline commands: at white space; "..." may hold \n \r \t \b \a
// \xHH and \ before any other byte; '...' may hold \'. InvalidArgument if quotes do not match.
absl::StatusOr<std::vector<std::string>> SplitArguments(std::string_view line);

// Reads a decimal 64-bit integer as strictly as Redis: no space, no plus, no leading zero. False
// if `text` is anything else.
bool ParseRedisInteger(std::string_view text, int64_t* number);

// Not thread-safe.
class RespReader {
 public:
  // `input` must outlive the reader.
  explicit RespReader(BufferedInput* input) : input_(input) {}

  // Reads the next command into `*arguments`, which has then at least one element. False at the
  // end of the stream. Memory grows with what arrives, not with what lengths announce.
  //   InvalidArgument  malformed, or over a limit; the text names the byte where the command
  //                    begins, the byte where it went wrong, what was expected and what is there
  //   DataLoss         the stream ends inside a command
  //   others           the input's own
  // After an error the stream cannot be read on.
  absl::StatusOr<bool> Next(std::vector<std::string>* arguments);

  // The byte at which the command begins that Next returned or failed on; at the end, the end.
  uint64_t command_offset() const { return command_offset_; }

 private:
  absl::Status ReadMultibulk(std::vector<std::string>* arguments);
  absl::Status ReadInline(std::vector<std::string>* arguments);
  // The number of a line made of `prefix`, a number and \r\n.
  absl::StatusOr<int64_t> ReadHeader(char prefix, std::string_view what, int64_t max);
  absl::Status ReadBulk(size_t size, std::string* bulk);
  // The line without its \n. Valid until the next read.
  absl::StatusOr<std::string_view> ReadLine(std::string_view what);

  absl::Status Malformed(uint64_t offset, std::string_view expected, std::string_view found) const;
  absl::Status Truncated(std::string_view what) const;

  BufferedInput* const input_;
  uint64_t command_offset_ = 0;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_RESP_READER_H_
