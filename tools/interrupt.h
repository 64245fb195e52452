// Ctrl-C, as something that can be asked and waited for.
#ifndef SLOTKV_TOOLS_INTERRUPT_H_
#define SLOTKV_TOOLS_INTERRUPT_H_

namespace slotkv::tools {

// While one exists (at most one may), SIGINT and SIGTERM do not end the process at once but are
// noted; the second of a kind ends it. Thread-safe.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool raised() const;
  // Readable once raised.
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_INTERRUPT_H_
