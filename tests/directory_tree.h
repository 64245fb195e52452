// Looks at, and copies, directory trees.
#ifndef SLOTKV_TESTS_DIRECTORY_TREE_H_
#define SLOTKV_TESTS_DIRECTORY_TREE_H_

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/test_support.h"

namespace slotkv {

// Paths of all regular files below `root`, relative to it, sorted.
inline std::vector<std::string> FilesBelow(const std::string& root) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      files.push_back(std::filesystem::relative(entry.path(), root).string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What each of them holds.
inline std::map<std::string, std::string> ContentsBelow(const std::string& root) {
  std::map<std::string, std::string> contents;
  for (const std::string& file : FilesBelow(root)) contents[file] = BytesOf(root + "/" + file);
  return contents;
}

// Makes `to` a copy of `from`, without what it held before.
inline void CopyTree(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

}  // namespace slotkv

#endif  // SLOTKV_TESTS_DIRECTORY_TREE_H_
