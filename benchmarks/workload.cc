#include "benchmarks/workload.h"

#include <cstdlib>

namespace slotkv {

ScratchDirectory::ScratchDirectory() {
  const char* const root = std::getenv("TEST_TMPDIR");
  path_ = std::string(root == nullptr ? "/tmp" : root) + "/slotkv-benchmark-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace slotkv
