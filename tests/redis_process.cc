#include "tests/redis_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr absl::Duration kPoll = absl::Milliseconds(10);

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// A port that nobody uses at the moment; somebody may take it before Redis does.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

// True if the server is the one that was told to work in `directory`.
bool IsOurs(RedisClient* client, const std::string& directory) {
  absl::StatusOr<RedisReply> reply = client->Call({"CONFIG", "GET", "dir"});
  return reply.ok() && reply->elements.size() == 2 && reply->elements[1].text == directory;
}

}  // namespace

std::string EncodeCommand(const RedisArguments& arguments) {
  std::string bytes = absl::StrCat("*", arguments.size(), "\r\n");
  for (const std::string& argument : arguments) {
    absl::StrAppend(&bytes, "$", argument.size(), "\r\n", argument, "\r\n");
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<RedisClient>> RedisClient::Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::unique_ptr<RedisClient> client(new RedisClient(fd));
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "connect");
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return client;
}

RedisClient::~RedisClient() { close(fd_); }

absl::Status RedisClient::Send(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t part = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (part < 0 && errno == EINTR) continue;
    if (part < 0) return absl::ErrnoToStatus(errno, "send");
    sent += static_cast<size_t>(part);
  }
  return absl::OkStatus();
}

absl::Status RedisClient::FillTo(size_t size) {
  if (used_ > (size_t{1} << 20)) {
    buffer_.erase(0, used_);
    used_ = 0;
  }
  while (buffer_.size() - used_ < size) {
    char part[64 * 1024];
    const ssize_t got = recv(fd_, part, sizeof(part), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "recv");
    if (got == 0) return absl::UnavailableError("Redis closed the connection");
    buffer_.append(part, static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RedisClient::ReadLine() {
  for (size_t size = 1;;) {
    absl::Status filled = FillTo(size);
    if (!filled.ok()) return filled;
    const size_t end = buffer_.find("\r\n", used_);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(used_, end - used_);
      used_ = end + 2;
      return line;
    }
    size = buffer_.size() - used_ + 1;
  }
}

absl::StatusOr<RedisReply> RedisClient::ReadReply() {
  absl::StatusOr<std::string> line = ReadLine();
  if (!line.ok()) return line.status();
  RedisReply reply;
  reply.type = line->empty() ? '\0' : line->front();
  reply.text = line->empty() ? "" : line->substr(1);
  if (reply.type == '+' || reply.type == '-') return reply;
  if (!absl::SimpleAtoi(reply.text, &reply.integer))
    return absl::InternalError("not RESP: " + *line);
  if (reply.type == ':') return reply;
  reply.text.clear();
  reply.nil = reply.integer < 0;
  if (reply.nil) return reply;
  if (reply.type == '$') {
    const size_t size = static_cast<size_t>(reply.integer);
    absl::Status filled = FillTo(size + 2);
    if (!filled.ok()) return filled;
    reply.text = buffer_.substr(used_, size);
    used_ += size + 2;
    return reply;
  }
  for (int64_t i = 0; i < reply.integer; ++i) {
    absl::StatusOr<RedisReply> element = ReadReply();
    if (!element.ok()) return element.status();
    reply.elements.push_back(*std::move(element));
  }
  return reply;
}

absl::StatusOr<RedisReply> RedisClient::Call(const RedisArguments& arguments) {
  absl::Status sent = Send(EncodeCommand(arguments));
  if (!sent.ok()) return sent;
  return ReadReply();
}

absl::StatusOr<std::vector<RedisReply>> RedisClient::Pipeline(
    const std::vector<RedisArguments>& commands) {
  std::string bytes;
  for (const RedisArguments& command : commands) bytes += EncodeCommand(command);
  absl::Status sent = Send(bytes);
  if (!sent.ok()) return sent;
  std::vector<RedisReply> replies;
  for (size_t i = 0; i < commands.size(); ++i) {
    absl::StatusOr<RedisReply> reply = ReadReply();
    if (!reply.ok()) return reply.status();
    replies.push_back(*std::move(reply));
  }
  return replies;
}

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::Start(const std::string& directory) {
  if (std::system("command -v redis-server >/dev/null 2>&1") != 0) {
    return absl::NotFoundError(
        "there is no redis-server in PATH: apt-get install redis-server, or use ./bazelw");
  }
  std::unique_ptr<RedisServer> server(new RedisServer);
  server->directory_ = directory;
  // Again on another port if this one was taken meanwhile: then the process ends at once.
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    const int port = FreePort();
    absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(
        {"redis-server", "--port", absl::StrCat(port), "--bind", "127.0.0.1", "--protected-mode",
         "yes", "--dir", directory, "--save", "", "--appendonly", "yes", "--appendfsync",
         "everysec", "--aof-use-rdb-preamble", "no", "--daemonize", "no"});
    if (!process.ok()) return process.status();
    server->process_ = *std::move(process);
    while (absl::Now() < deadline && server->process_->IsRunning()) {
      absl::StatusOr<std::unique_ptr<RedisClient>> client = RedisClient::Connect(port);
      if (client.ok() && IsOurs(client->get(), directory)) {
        server->client_ = *std::move(client);
        return server;
      }
      absl::SleepFor(kPoll);
    }
  }
  return absl::DeadlineExceededError(
      absl::StrCat("redis-server does not start: ", server->process_->OutSoFar()));
}

absl::Status RedisServer::RewriteAppendOnlyFile() {
  absl::StatusOr<RedisReply> begun = client_->Call({"BGREWRITEAOF"});
  if (!begun.ok()) return begun.status();
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    absl::StatusOr<RedisReply> info = client_->Call({"INFO", "persistence"});
    if (!info.ok()) return info.status();
    if (absl::StrContains(info->text, "aof_rewrite_in_progress:0") &&
        absl::StrContains(info->text, "aof_rewrite_scheduled:0")) {
      return absl::StrContains(info->text, "aof_last_bgrewrite_status:ok")
                 ? absl::OkStatus()
                 : absl::InternalError("BGREWRITEAOF failed");
    }
    absl::SleepFor(kPoll);
  }
  return absl::DeadlineExceededError("BGREWRITEAOF does not end");
}

}  // namespace slotkv
