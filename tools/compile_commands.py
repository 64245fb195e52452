#!/usr/bin/python3
"""Writes compile_commands.json into the root of the workspace, for clangd and its like:

  ./bazelw run //tools:compile_commands

Run it again after a change to a BUILD file. Commands are those of the default configuration.
"""

import json
import os
import re
import subprocess
import sys


def bazel(*arguments):
    return subprocess.run(("bazel",) + arguments, check=True, stdout=subprocess.PIPE).stdout


def portable(arguments, roots):
    """The arguments for any directory and tool: without Bazel's outputs, paths made absolute."""
    kept = []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-o", "-MF"):
            next(rest)
        elif argument in ("-MD", "-fno-canonical-system-headers"):
            pass
        elif not argument.startswith("-frandom-seed="):
            match = re.match(r"(-I|-iquote|-isystem)?(bazel-out|external)(/.*)?$", argument)
            if match:
                option, root, rest_of_path = match.groups(default="")
                argument = option + roots[root] + rest_of_path
            kept.append(argument)
    return kept


def main():
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if workspace is None:
        sys.exit("compile_commands: run this with ./bazelw run //tools:compile_commands")
    os.chdir(workspace)

    # Headers are included by their public paths through links that Bazel makes before it compiles.
    bazel("build", "--output_groups=compilation_prerequisites_INTERNAL_", "//...")
    actions = json.loads(
        bazel("aquery", "--output=jsonproto", "--include_artifacts=false",
              'mnemonic("CppCompile", //...)'))["actions"]
    output_base = bazel("info", "output_base").decode().strip()
    output_path = bazel("info", "output_path").decode().strip()
    roots = {"bazel-out": output_path, "external": output_base + "/external"}

    # A file that is compiled twice, as position-independent code too, has one entry.
    commands = {}
    for action in actions:
        arguments = action["arguments"]
        source = arguments[arguments.index("-c") + 1]
        commands.setdefault(source, portable(arguments, roots))
    entries = [{"arguments": commands[source], "directory": workspace, "file": source}
               for source in sorted(commands)]

    # Renamed into place: an editor may be reading it.
    with open("compile_commands.json.partial", "w") as out:
        json.dump(entries, out, indent=1)
        out.write("\n")
    os.rename("compile_commands.json.partial", "compile_commands.json")
    print("compile_commands.json has %d files" % len(entries))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        # Bazel has said why.
        sys.exit(error.returncode)
