// SLOTKV_CHECK(condition): a broken invariant stops the process, in every build, with its place
// and text on stderr. For what only a bug in slotkv can break, never for input or I/O.
#ifndef SLOTKV_ENGINE_CHECK_H_
#define SLOTKV_ENGINE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define SLOTKV_CHECK(condition)                                                          \
  do {                                                                                   \
    if (__builtin_expect(!(condition), 0)) {                                             \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

#endif  // SLOTKV_ENGINE_CHECK_H_
