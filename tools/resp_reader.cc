#include "tools/resp_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

int HexDigit(char c) {
  if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return -1;
  return c <= '9' ? c - '0' : absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10;
}

char Unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Reads the quoted part that begins after the quote at *position and appends it. False if it does
// not end, or does not end its argument.
bool AppendQuoted(std::string_view line, size_t* position, std::string* argument) {
  const char quote = line[(*position)++];
  for (size_t i = *position; i < line.size(); ++i) {
    const bool escape = line[i] == '\\' && i + 1 < line.size();
    if (line[i] == quote) {
      *position = i + 1;
      return *position == line.size() || IsSpace(line[*position]);
    }
    if (quote == '\'' && escape && line[i + 1] == '\'') {
      argument->push_back('\'');
      ++i;
    } else if (quote == '"' && escape && line[i + 1] == 'x' && i + 3 < line.size() &&
               HexDigit(line[i + 2]) >= 0 && HexDigit(line[i + 3]) >= 0) {
      argument->push_back(static_cast<char>(HexDigit(line[i + 2]) * 16 + HexDigit(line[i + 3])));
      i += 3;
    } else if (quote == '"' && escape) {
      argument->push_back(Unescaped(line[++i]));
    } else {
      argument->push_back(line[i]);
    }
  }
  return false;
}

bool MayBeginInline(char c) {
  return absl::ascii_isalpha(static_cast<unsigned char>(c)) || IsSpace(c) || c == '"' ||
         c == '\'' || c == '#';
}

}  // namespace

absl::StatusOr<std::vector<std::string>> SplitArguments(std::string_view line) {
  std::vector<std::string> arguments;
  for (size_t i = 0;;) {
    while (i < line.size() && IsSpace(line[i])) ++i;
    if (i == line.size()) return arguments;
    std::string argument;
    while (i < line.size() && !IsSpace(line[i])) {
      if (line[i] != '"' && line[i] != '\'') {
        argument.push_back(line[i++]);
      } else if (!AppendQuoted(line, &i, &argument)) {
        return absl::InvalidArgumentError("unbalanced quotes");
      }
    }
    arguments.push_back(std::move(argument));
  }
}

bool ParseRedisInteger(std::string_view text, int64_t* number) {
  const std::string_view digits = text.substr(!text.empty() && text[0] == '-' ? 1 : 0);
  if (digits.empty() || (digits[0] == '0' && text.size() > 1)) return false;
  const char* const end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, *number);
  return result.ec == std::errc() && result.ptr == end;
}

absl::Status RespReader::Malformed(uint64_t offset, std::string_view expected,
                                   std::string_view found) const {
  return absl::InvalidArgumentError(absl::StrCat("malformed command at byte ", command_offset_,
                                                 ": expected ", ToAbsl(expected), " at byte ",
                                                 offset, ", found ", ToAbsl(found)));
}

absl::Status RespReader::Truncated(std::string_view what) const {
  return absl::DataLossError(absl::StrCat("truncated command at byte ", command_offset_,
                                          ": the input ends at byte ", input_->offset(), ", in ",
                                          ToAbsl(what)));
}

absl::StatusOr<bool> RespReader::Next(std::vector<std::string>* arguments) {
  for (;;) {
    arguments->clear();
    command_offset_ = input_->offset();
    absl::StatusOr<std::string_view> ahead = input_->Lookahead(1);
    if (!ahead.ok()) return ahead.status();
    if (ahead->empty()) return false;
    const char first = ahead->front();
    if (first != '*' && !MayBeginInline(first)) {
      return Malformed(command_offset_, "'*' or the name of a command",
                       Quoted(std::string_view(&first, 1)));
    }
    absl::Status read = first == '*' ? ReadMultibulk(arguments) : ReadInline(arguments);
    if (!read.ok()) return read;
    if (!arguments->empty()) return true;
  }
}

absl::Status RespReader::ReadMultibulk(std::vector<std::string>* arguments) {
  absl::StatusOr<int64_t> count = ReadHeader('*', "a number of arguments", kRespArgumentsMax);
  if (!count.ok()) return count.status();
  size_t command_bytes = 0;
  for (int64_t i = 0; i < *count; ++i) {
    const uint64_t header_offset = input_->offset();
    absl::StatusOr<int64_t> size = ReadHeader('$', "a bulk length", kRespBulkBytesMax);
    if (!size.ok()) return size.status();
    if (*size < 0) {
      return Malformed(header_offset, "a bulk length that is not negative",
                       absl::StrCat("$", *size));
    }
    command_bytes += static_cast<size_t>(*size) + sizeof(std::string);
    if (command_bytes > kRespCommandBytesMax) {
      return Malformed(header_offset,
                       absl::StrCat("at most ", kRespCommandBytesMax, " bytes in one command"),
                       "more");
    }
    arguments->emplace_back();
    absl::Status read = ReadBulk(static_cast<size_t>(*size), &arguments->back());
    if (!read.ok()) return read;
  }
  return absl::OkStatus();
}

absl::Status RespReader::ReadInline(std::vector<std::string>* arguments) {
  absl::StatusOr<std::string_view> line = ReadLine("an inline command");
  if (!line.ok()) return line.status();
  if (!line->empty() && line->front() == '#') return absl::OkStatus();
  const size_t nul = line->find('\0');
  if (nul != std::string_view::npos) {
    return Malformed(command_offset_ + nul, "text in an inline command", "a zero byte");
  }
  absl::StatusOr<std::vector<std::string>> split = SplitArguments(*line);
  if (!split.ok()) {
    return Malformed(command_offset_, "an inline command with matching quotes", Quoted(*line));
  }
  *arguments = *std::move(split);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> RespReader::ReadHeader(char prefix, std::string_view what, int64_t max) {
  const uint64_t offset = input_->offset();
  absl::StatusOr<std::string_view> ahead = input_->Lookahead(1);
  if (!ahead.ok()) return ahead.status();
  if (!ahead->empty() && ahead->front() != prefix) {
    return Malformed(offset, absl::StrCat("'", std::string(1, prefix), "' and ", ToAbsl(what)),
                     Quoted(ahead->substr(0, 1)));
  }
  absl::StatusOr<std::string_view> line = ReadLine(what);
  if (!line.ok()) return line.status();
  int64_t number = 0;
  if (line->size() < 2 || line->back() != '\r' ||
      !ParseRedisInteger(line->substr(1, line->size() - 2), &number) || number > max) {
    return Malformed(offset,
                     absl::StrCat("'", std::string(1, prefix), "', ", ToAbsl(what), " up to ", max,
                                  " and \\r\\n"),
                     Quoted(*line));
  }
  return number;
}

absl::Status RespReader::ReadBulk(size_t size, std::string* bulk) {
  while (bulk->size() < size) {
    absl::StatusOr<std::string_view> ahead = input_->Lookahead(1);
    if (!ahead.ok()) return ahead.status();
    if (ahead->empty()) return Truncated(absl::StrCat("a bulk of ", size, " bytes"));
    const std::string_view part = ahead->substr(0, size - bulk->size());
    bulk->append(part);
    input_->Consume(part.size());
  }
  absl::StatusOr<std::string_view> end = input_->Lookahead(2);
  if (!end.ok()) return end.status();
  const std::string_view found = end->substr(0, 2);
  if (found == "\r\n") {
    input_->Consume(2);
    return absl::OkStatus();
  }
  if (found.empty() || found == "\r") return Truncated("the \\r\\n after a bulk");
  return Malformed(input_->offset(), absl::StrCat("\\r\\n after a bulk of ", size, " bytes"),
                   Quoted(found));
}

absl::StatusOr<std::string_view> RespReader::ReadLine(std::string_view what) {
  static_assert(kRespLineBytesMax + 2 <= BufferedInput::kBufferBytes, "a line fits the buffer");
  size_t searched = 0;
  while (searched <= kRespLineBytesMax) {
    absl::StatusOr<std::string_view> ahead = input_->Lookahead(searched + 1);
    if (!ahead.ok()) return ahead.status();
    const size_t newline = ahead->find('\n', searched);
    if (newline != std::string_view::npos && newline <= kRespLineBytesMax) {
      input_->Consume(newline + 1);
      return ahead->substr(0, newline);
    }
    if (ahead->size() <= searched) {
      input_->Consume(ahead->size());
      return Truncated(what);
    }
    searched = ahead->size();
  }
  return Malformed(input_->offset(),
                   absl::StrCat("a line of at most ", kRespLineBytesMax, " bytes"), "a longer one");
}

}  // namespace slotkv::tools
