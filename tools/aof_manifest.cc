#include "tools/aof_manifest.h"

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/resp_reader.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kManifestSuffix = ".manifest";
// Redis keeps a line for each file; a thousand increments are far beyond its use.
constexpr size_t kManifestBytesMax = size_t{1} << 20;

struct ManifestLine {
  std::string file;
  int64_t sequence = 0;
  char type = 0;
};

absl::StatusOr<ManifestLine> ParseLine(std::string_view line) {
  absl::StatusOr<std::vector<std::string>> words = SplitArguments(line);
  if (!words.ok()) return words.status();
  if (words->size() % 2 != 0) return absl::InvalidArgumentError("expected pairs of name and value");
  ManifestLine parsed;
  for (size_t i = 0; i < words->size(); i += 2) {
    const std::string& name = (*words)[i];
    const std::string& value = (*words)[i + 1];
    if (name == "file") {
      parsed.file = value;
    } else if (name == "seq" && !ParseRedisInteger(value, &parsed.sequence)) {
      return absl::InvalidArgumentError("seq is not a number");
    } else if (name == "type" && value.size() == 1) {
      parsed.type = value[0];
    }
  }
  if (parsed.file.empty() || parsed.sequence <= 0 || parsed.type == 0) {
    return absl::InvalidArgumentError("expected 'file NAME seq NUMBER type LETTER'");
  }
  if (absl::StrContains(parsed.file, '/') || parsed.file == "." || parsed.file == "..") {
    return absl::InvalidArgumentError("the file is not in the manifest's own directory");
  }
  return parsed;
}

// Collects the lines and keeps their order.
class ManifestParser {
 public:
  absl::Status Add(ManifestLine line) {
    if (line.type == 'h') return absl::OkStatus();
    if (line.type == 'b') {
      if (!files_.empty()) return absl::InvalidArgumentError("the base must come first, and once");
    } else if (line.type != 'i') {
      return absl::InvalidArgumentError("expected type b, i or h");
    } else if (line.sequence <= last_increment_) {
      return absl::InvalidArgumentError("increments must be in ascending order");
    } else {
      last_increment_ = line.sequence;
    }
    files_.push_back(std::move(line.file));
    return absl::OkStatus();
  }

  std::vector<std::string> Take() { return std::move(files_); }

 private:
  std::vector<std::string> files_;
  int64_t last_increment_ = 0;
};

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, path);
  std::string text(kManifestBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::UnavailableError(absl::StrCat(path, ": read error"));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kManifestBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": too large for a manifest"));
  }
  return text;
}

absl::StatusOr<std::string> ManifestIn(const std::string& directory) {
  std::error_code error;
  std::string found;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().string();
    if (!absl::EndsWith(name, ToAbsl(kManifestSuffix))) continue;
    if (!found.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(directory, " holds more than one *.manifest: name the one to load"));
    }
    found = name;
  }
  if (error) return absl::ErrnoToStatus(error.value(), directory);
  if (found.empty()) {
    return absl::NotFoundError(
        absl::StrCat(directory, " holds no *.manifest: name a file, or Redis's appendonlydir"));
  }
  return found;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseAofManifest(std::string_view text) {
  ManifestParser parser;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#') continue;
    absl::StatusOr<ManifestLine> parsed = ParseLine(line);
    const absl::Status status = parsed.ok() ? parser.Add(*std::move(parsed)) : parsed.status();
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", status.message()));
    }
  }
  std::vector<std::string> files = parser.Take();
  if (files.empty()) return absl::InvalidArgumentError("it names no file");
  return files;
}

absl::StatusOr<std::vector<std::string>> AofFiles(const std::string& path) {
  std::string manifest = path;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    absl::StatusOr<std::string> found = ManifestIn(path);
    if (!found.ok()) return found.status();
    manifest = *std::move(found);
  } else if (!absl::EndsWith(path, ToAbsl(kManifestSuffix))) {
    return std::vector<std::string>{path};
  }
  absl::StatusOr<std::string> text = ReadSmallFile(manifest);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<std::string>> files = ParseAofManifest(*text);
  if (!files.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(manifest, ": ", files.status().message()));
  }
  for (std::string& file : *files) file = (fs::path(manifest).parent_path() / file).string();
  return files;
}

}  // namespace slotkv::tools
