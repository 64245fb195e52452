#!/bin/sh
# Copies slotkv's headers, its static library and what pkg-config and CMake need to PREFIX:
#
#   ./bazelw run -c opt //tools:install -- PREFIX
#
# Run again over an earlier copy, it also removes the files that slotkv no longer has. The copy may
# be moved afterwards.
set -eu

usage="usage: ./bazelw run -c opt //tools:install -- PREFIX"

fail() {
  echo "install: $1" >&2
  exit 1
}

case ${1:-} in
  -h | --help)
    echo "$usage"
    exit 0
    ;;
  "" | -*)
    echo "$usage" >&2
    exit 2
    ;;
  /*) prefix=$1 ;;
  # Bazel runs this in a directory of its own, and says where the caller was.
  *) prefix=${BUILD_WORKING_DIRECTORY:-$PWD}/$1 ;;
esac
if [ "$#" != 1 ]; then
  echo "$usage" >&2
  exit 2
fi

files=${RUNFILES_DIR:-$0.runfiles}/slotkv/tools/installation
[ -f "$files/manifest" ] || fail "$files/manifest is missing; run this through bazel"

partial=
all_paths=
trap 'rm -f "$partial" "$all_paths"' EXIT
trap 'exit 1' HUP INT TERM

# copy FROM TO: whoever opens TO meanwhile gets the old file or the new one, whole.
copy() {
  mkdir -p "${2%/*}" || fail "cannot create ${2%/*}"
  partial=$2.partial.$$
  if ! { cp "$1" "$partial" && chmod 644 "$partial" && mv -f "$partial" "$2"; }; then
    fail "cannot write $2"
  fi
  partial=
}

# Until the end the list names the earlier files and the new ones, so that the next run knows what
# one that was cut short has left.
manifest=$prefix/share/slotkv/manifest
all_paths=$(mktemp)
if [ -f "$manifest" ]; then
  sort -u "$manifest" "$files/manifest" >"$all_paths"
else
  cp "$files/manifest" "$all_paths"
fi
copy "$all_paths" "$manifest"

while read -r path; do
  copy "$files/$path" "$prefix/$path"
done <"$files/manifest"
while read -r path; do
  if ! grep -qxF -e "$path" "$files/manifest"; then
    rm -f "$prefix/$path" || fail "cannot remove $prefix/$path"
  fi
done <"$all_paths"
copy "$files/manifest" "$manifest"

echo "slotkv is in $prefix"
if [ "$(cat "$files/compilation_mode")" != opt ]; then
  echo "install: this copy is not optimized; add -c opt after \"run\"" >&2
fi
