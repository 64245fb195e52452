#include "slotkv/endpoint.h"

namespace slotkv {

bool IsRead(Command command) {
  switch (command) {
    case Command::kGet:
    case Command::kExists:
    case Command::kMultiGet:
    case Command::kTimeToLive:
    case Command::kHashGet:
    case Command::kHashGetAll:
      return true;
    case Command::kSet:
    case Command::kDelete:
    case Command::kIncrement:
    case Command::kAppend:
    case Command::kSetRange:
    case Command::kCompareAndSet:
    case Command::kWrite:
    case Command::kExpire:
    case Command::kPersist:
    case Command::kGetAndTouch:
    case Command::kHashSet:
    case Command::kHashDelete:
      return false;
  }
  return false;
}

}  // namespace slotkv
