"""The files of an installed copy, all of them found through the build graph.

A header is installed if a library of this workspace below the given one gives it an include_prefix,
which is how a public header is spelled; the archive holds the objects of all those libraries. So
neither can be forgotten when one is added.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

_LibraryInfo = provider(
    doc = "What a library of this workspace and those below it have for an installed copy.",
    fields = {
        "external": "depset of the labels in other workspaces that they depend on",
        "headers": "depset of the public headers, under the paths that the compiler knows",
        "objects": "depset of position-independent object files",
    },
)

_OWN_WORKSPACE = Label("//:slotkv").workspace_name
_VIRTUAL_INCLUDES = "/_virtual_includes/"

def _library_aspect_impl(target, ctx):
    if CcInfo not in target or target.label.workspace_name != _OWN_WORKSPACE:
        return []
    deps = getattr(ctx.rule.attr, "deps", [])
    infos = [dep[_LibraryInfo] for dep in deps if _LibraryInfo in dep]
    objects = []
    for linker_input in target[CcInfo].linking_context.linker_inputs.to_list():
        if linker_input.owner != target.label:
            continue
        for library in linker_input.libraries:
            # A program may put the archive into a shared library.
            if not library.pic_objects:
                fail("%s: no position-independent objects" % target.label)
            objects += library.pic_objects
    return [_LibraryInfo(
        external = depset(
            [dep.label for dep in deps if _LibraryInfo not in dep],
            transitive = [info.external for info in infos],
        ),
        headers = depset(
            [
                header
                for header in target[CcInfo].compilation_context.direct_public_headers
                if _VIRTUAL_INCLUDES in header.path
            ],
            transitive = [info.headers for info in infos],
        ),
        objects = depset(objects, transitive = [info.objects for info in infos]),
    )]

_library_aspect = aspect(
    implementation = _library_aspect_impl,
    attr_aspects = ["deps"],
)

def _abseil_name(label):
    """The name, after "absl_" or "absl::", that Abseil's own installation gives a Bazel target."""
    package = label.package.rpartition("/")[2]
    name = _without_suffix(label.name, "_system")
    if package == "random" or (package == "algorithm" and name != "algorithm"):
        return package + "_" + name
    return name

def _without_suffix(text, suffix):
    return text[:-len(suffix)] if text.endswith(suffix) else text

def _installation_impl(ctx):
    info = ctx.attr.library[_LibraryInfo]
    requires = {}
    cmake_libraries = {}
    for label in info.external.to_list():
        # An alias is seen as what it stands for: the installed library, "_system" in its target's
        # name, or the one compiled from source, "_src" in its repository's.
        repository = _without_suffix(label.workspace_name, "_src")
        if repository == "com_google_absl":
            requires["absl_" + _abseil_name(label)] = True
            cmake_libraries["absl::" + _abseil_name(label)] = True
        elif repository == "rocksdb":
            requires["rocksdb"] = True
        elif repository == "com_github_cyan4973_xxhash":
            # All inlined (XXH_INLINE_ALL): nothing is left to link.
            pass
        else:
            fail("say here how an installed copy finds %s" % label)

    # Path below the prefix to file.
    files = {"share/doc/slotkv/LICENSE": ctx.file.license}
    for header in info.headers.to_list():
        path = header.path.partition(_VIRTUAL_INCLUDES)[2].partition("/")[2]
        files["include/" + path] = header

    version_header = files.get("include/slotkv/version.h") or fail("no public version.h")

    objects = info.objects.to_list()
    toolchain = find_cpp_toolchain(ctx)
    archive = ctx.actions.declare_file(ctx.label.name + ".a")

    # q, not r: objects of different packages may have the same name. D: no times, no owners.
    arguments = ctx.actions.args().add("qcsD", archive).add_all(objects)
    arguments.use_param_file("@%s").set_param_file_format("multiline")
    ctx.actions.run(
        arguments = [arguments],
        executable = toolchain.ar_executable,
        inputs = depset(objects, transitive = [toolchain.all_files]),
        mnemonic = "MergeArchives",
        outputs = [archive],
    )
    files["lib/libslotkv.a"] = archive

    substitutions = ctx.actions.declare_file(ctx.label.name + ".sed")
    ctx.actions.run_shell(
        command = """
            version=$(sed -n 's/.* kVersion = "\\([0-9.]*\\)";$/\\1/p' "$1")
            test -n "$version" || { echo "no kVersion in $1" >&2; exit 1; }
            printf 's/@VERSION@/%s/\\ns/@PKG_CONFIG_REQUIRES@/%s/\\ns/@CMAKE_LIBRARIES@/%s/\\n' \\
                "$version" "$2" "$3" >"$4"
        """,
        arguments = [
            version_header.path,
            ", ".join(sorted(requires)),
            ";".join(sorted(cmake_libraries)),
            substitutions.path,
        ],
        inputs = [version_header],
        mnemonic = "InstalledVersion",
        outputs = [substitutions],
    )
    for template, path in ctx.attr.templates.items():
        source = template.files.to_list()[0]
        files[path] = ctx.actions.declare_file(ctx.label.name + ".filled/" + path)
        ctx.actions.run_shell(
            command = 'sed -f "$1" "$2" >"$3"',
            arguments = [substitutions.path, source.path, files[path].path],
            inputs = [substitutions, source],
            mnemonic = "FillTemplate",
            outputs = [files[path]],
        )

    tree = []
    for path, file in files.items():
        installed = ctx.actions.declare_file(ctx.label.name + "/" + path)
        ctx.actions.symlink(output = installed, target_file = file)
        tree.append(installed)
    manifest = ctx.actions.declare_file(ctx.label.name + "/manifest")
    ctx.actions.write(manifest, "".join([path + "\n" for path in sorted(files)]))
    mode = ctx.actions.declare_file(ctx.label.name + "/compilation_mode")
    ctx.actions.write(mode, ctx.var["COMPILATION_MODE"] + "\n")

    tree += [manifest, mode]
    return [DefaultInfo(files = depset(tree), runfiles = ctx.runfiles(tree))]

installation = rule(
    implementation = _installation_impl,
    attrs = {
        "library": attr.label(
            mandatory = True,
            aspects = [_library_aspect],
            providers = [CcInfo],
        ),
        "license": attr.label(
            mandatory = True,
            allow_single_file = True,
        ),
        "templates": attr.label_keyed_string_dict(
            mandatory = True,
            allow_files = True,
            doc = "File to its path below the prefix.",
        ),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    doc = """A directory NAME with all files under the paths that they are to have below a prefix.

Beside them NAME/manifest, the list of these paths, and NAME/compilation_mode.""",
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
