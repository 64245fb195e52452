"""Repositories made on the spot, without the network."""

_INCLUDE_DIRECTORY = "/usr/include"

_BUILD_HEADER = """\
package(default_visibility = ["//visibility:public"])
"""

_LIBRARY = """
cc_library(
    name = {name},
    defines = {defines},
    linkopts = {linkopts},
    deps = {deps},
)
"""

_FROM_SOURCE = """
config_setting(
    name = "from_source",
    define_values = {define_values},
)
"""

_CHOICE = """
alias(
    name = {name},
    actual = select({{
        "//:from_source": {source},
        "//conditions:default": {system},
    }}),
)
"""

def _system_library_impl(repository_ctx):
    for target, headers in repository_ctx.attr.targets.items():
        for header in headers:
            path = _INCLUDE_DIRECTORY + "/" + header
            if not repository_ctx.path(path).exists:
                fail("\n\n@{repository}//{target} needs {path}, which is not there.\n".format(
                    path = path,
                    repository = repository_ctx.name,
                    target = target,
                ) + "Install the Debian package {package}: run ./bazelw instead of bazel, or\n".format(
                    package = repository_ctx.attr.debian_package,
                ) + "  apt-get install {package}\n".format(
                    package = repository_ctx.attr.debian_package,
                ))

    source = repository_ctx.attr.source_repository
    build_files = {"": _BUILD_HEADER + _LIBRARY.format(
        defines = repository_ctx.attr.defines,
        deps = [],
        linkopts = repository_ctx.attr.linkopts,
        name = repr("system_library"),
    )}
    if source:
        build_files[""] += _FROM_SOURCE.format(
            define_values = {"slotkv_" + repository_ctx.name: "source"},
        )
    for target in repository_ctx.attr.targets:
        package, _, name = target.rpartition(":")
        system_name = name + "_system" if source else name
        content = build_files.get(package, _BUILD_HEADER) + _LIBRARY.format(
            defines = [],
            deps = ["//:system_library"],
            linkopts = repository_ctx.attr.target_linkopts.get(target, []),
            name = repr(system_name),
        )
        if source:
            content += _CHOICE.format(
                name = repr(name),
                source = repr("@{}//{}:{}".format(source, package, name)),
                system = repr(":" + system_name),
            )
        build_files[package] = content
    for package, content in build_files.items():
        repository_ctx.file((package + "/" if package else "") + "BUILD.bazel", content, False)

system_library = repository_rule(
    implementation = _system_library_impl,
    attrs = {
        "debian_package": attr.string(
            mandatory = True,
            doc = "Named in the error when a header is missing.",
        ),
        "defines": attr.string_list(doc = "Macros for every file that uses the library."),
        "linkopts": attr.string_list(doc = "Link options that every target needs."),
        "source_repository": attr.string(
            doc = "Has the same targets; replaces the installed library under " +
                  "--define=slotkv_<name of this repository>=source, and is fetched only then.",
        ),
        "target_linkopts": attr.string_list_dict(doc = "Target to further link options of its own."),
        "targets": attr.string_list_dict(
            mandatory = True,
            doc = "\"package:name\" as upstream spells it, to headers below /usr/include that must be there.",
        ),
    },
    doc = """A library installed on this machine, under the labels of its upstream Bazel build.

The targets name no headers: /usr/include is among the compiler's own directories, for which Bazel
asks no declaration.""",
    # Looks at this machine, so it is evaluated afresh when Bazel starts.
    local = True,
)

def _generated_repository_impl(repository_ctx):
    for path, content in repository_ctx.attr.files.items():
        repository_ctx.file(path, content, False)

generated_repository = repository_rule(
    implementation = _generated_repository_impl,
    attrs = {"files": attr.string_dict(mandatory = True, doc = "Path to content.")},
    doc = "A repository of a few small files.",
)
