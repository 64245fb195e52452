#include "engine/rocksdb_logger.h"

#include <cstdarg>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {
namespace {

class Adapter final : public rocksdb::Logger {
 public:
  Adapter(std::shared_ptr<slotkv::Logger> logger, std::string name)
      : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL),
        logger_(std::move(logger)),
        name_(std::move(name)) {}

  using rocksdb::Logger::Logv;

  // Lines without a level are RocksDB's headers: its options, one by one.
  void Logv(const char*, va_list) override {}

  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level >= rocksdb::InfoLogLevel::HEADER_LEVEL) return;
    char text[1024];
    std::vsnprintf(text, sizeof(text), format, arguments);
    const bool is_error = level >= rocksdb::InfoLogLevel::ERROR_LEVEL;
    logger_->Log(is_error ? LogLevel::kError : LogLevel::kWarning, absl::StrCat(name_, ": ", text));
  }

 private:
  const std::shared_ptr<slotkv::Logger> logger_;
  const std::string name_;
};

}  // namespace

std::shared_ptr<rocksdb::Logger> NewRocksDbLogger(std::shared_ptr<Logger> logger,
                                                  std::string name) {
  if (logger == nullptr) return nullptr;
  return std::make_shared<Adapter>(std::move(logger), std::move(name));
}

}  // namespace slotkv
