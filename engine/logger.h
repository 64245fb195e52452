// Where slotkv says what it does: a seam to the service's own log.
#ifndef SLOTKV_ENGINE_LOGGER_H_
#define SLOTKV_ENGINE_LOGGER_H_

#include <string_view>

namespace slotkv {

// How much a line matters.
enum class LogLevel {
  kInfo,     // opened, recovered, closed
  kWarning,  // something is wrong and slotkv goes on: a zone is down, a disk is full
  kError,    // something is lost or refused until somebody acts
};

// Called from any thread, several at once, slotkv's own and its callers': it must be thread-safe,
// quick, and must not call the cluster. Options holds it by shared_ptr.
class Logger {
 public:
  virtual ~Logger() = default;

  // One line without its end. Holds no keys and no values.
  virtual void Log(LogLevel level, std::string_view text) = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_LOGGER_H_
