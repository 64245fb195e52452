// How log files are written.
#ifndef SLOTKV_ENGINE_LOG_IO_H_
#define SLOTKV_ENGINE_LOG_IO_H_

namespace slotkv {

// The ways of writing a log file; Options::log_io.
enum class LogIo {
  kAuto,    // kMapped on ext4, XFS and tmpfs, else kWrite
  kMapped,  // stores into a shared mapping of reserved space; a kill -9 loses nothing of it
  kWrite,   // one write(2) for each group of records
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_LOG_IO_H_
