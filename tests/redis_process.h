// A real Redis for tests: its server on a loopback port of its own, and a client.
#ifndef SLOTKV_TESTS_REDIS_PROCESS_H_
#define SLOTKV_TESTS_REDIS_PROCESS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/child_process.h"

namespace slotkv {

using RedisArguments = std::vector<std::string>;

// The command as a RESP multibulk.
std::string EncodeCommand(const RedisArguments& arguments);

struct RedisReply {
  // '+' text, '-' error, ':' integer, '$' bulk, '*' array.
  char type = 0;
  bool nil = false;
  std::string text;
  int64_t integer = 0;
  std::vector<RedisReply> elements;

  bool IsError() const { return type == '-'; }
};

// Not thread-safe.
class RedisClient {
 public:
  static absl::StatusOr<std::unique_ptr<RedisClient>> Connect(int port);
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  absl::StatusOr<RedisReply> Call(const RedisArguments& arguments);
  // Sends all, then reads all replies.
  absl::StatusOr<std::vector<RedisReply>> Pipeline(const std::vector<RedisArguments>& commands);

 private:
  explicit RedisClient(int fd) : fd_(fd) {}

  absl::Status Send(const std::string& bytes);
  absl::StatusOr<RedisReply> ReadReply();
  absl::StatusOr<std::string> ReadLine();
  absl::Status FillTo(size_t size);

  const int fd_;
  std::string buffer_;
  size_t used_ = 0;
};

// Keeps what it writes in a directory, with an append-only file and no snapshots.
class RedisServer {
 public:
  // NotFound, saying what to install, if there is no redis-server.
  static absl::StatusOr<std::unique_ptr<RedisServer>> Start(const std::string& directory);

  RedisClient* client() { return client_.get(); }
  // Holds the manifest and the parts of the append-only file.
  std::string AppendOnlyDirectory() const { return directory_ + "/appendonlydir"; }

  // Runs BGREWRITEAOF to its end.
  absl::Status RewriteAppendOnlyFile();

 private:
  RedisServer() = default;

  std::string directory_;
  std::unique_ptr<ChildProcess> process_;
  std::unique_ptr<RedisClient> client_;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_REDIS_PROCESS_H_
