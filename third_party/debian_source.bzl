"""Libraries compiled from Debian's source packages.

A file of its own: any change to it fetches every source package again.
"""

_RELEASE = "bookworm"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MIRROR_OF_LAST_RESORT = "http://deb.debian.org/debian"

_TOOLS = {
    "apt-get": "apt",
    "dpkg-source": "dpkg-dev",
    "xz": "xz-utils",
}

# Read after the machine's own configuration, whose proxies stay in force; its hooks are for its own
# package lists. The user "root" means: as the user that runs this, since apt's own download user
# cannot look into Bazel's directories.
_APT_CONFIGURATION = """\
Dir::Etc::sourcelist "{directory}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{directory}/state";
Dir::State::lists "{directory}/lists";
Dir::Cache "{directory}/cache";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""

_SOURCES_LIST = "deb-src [signed-by={keyring}] {mirror} {release} main\n"

def _run(repository_ctx, command, directory = ""):
    """The command's exit status is in the result; its messages are in English."""
    return repository_ctx.execute(
        command,
        environment = {"LC_ALL": "C.UTF-8"},
        working_directory = directory,
    )

def _require_tools(repository_ctx):
    for tool, package in _TOOLS.items():
        if not repository_ctx.which(tool):
            fail("\n\n@{repository} needs {tool}, which is not there.\n".format(
                repository = repository_ctx.name,
                tool = tool,
            ) + "Install the Debian package {package}: run ./bazelw instead of bazel, or\n".format(
                package = package,
            ) + "  apt-get install {package}\n".format(package = package))
    if not repository_ctx.path(_KEYRING).exists:
        fail("\n\n@{repository} needs {keyring}, which is not there.\n".format(
            keyring = _KEYRING,
            repository = repository_ctx.name,
        ) + "Install the Debian package debian-archive-keyring.\n")

def _mirrors(repository_ctx):
    """Where this machine gets its packages from, then Debian's own server."""
    targets = _run(repository_ctx, [
        "apt-get",
        "indextargets",
        # Works before the first apt-get update. A server that is not a mirror of Debian can be among
        # them; the signature tells.
        "--no-release-info",
        "--format",
        "$(RELEASE) $(COMPONENT) $(REPO_URI)",
        "Identifier: Packages",
    ])
    prefix = _RELEASE + " main "
    mirrors = [
        line[len(prefix):].rstrip("/")
        for line in targets.stdout.splitlines()
        if line.startswith(prefix)
    ]
    return {mirror: None for mirror in mirrors + [_MIRROR_OF_LAST_RESORT]}.keys()

def _download(repository_ctx, directory):
    """Puts the source package's files into the directory."""
    package = repository_ctx.attr.package
    version = repository_ctx.attr.version
    repository_ctx.file(directory + "/apt.conf", _APT_CONFIGURATION.format(
        directory = repository_ctx.path(directory),
    ), False)
    for subdirectory in ["state", "lists/partial", "cache/archives/partial"]:
        repository_ctx.file(directory + "/" + subdirectory + "/.keep", "", False)
    configuration = "--config-file=" + str(repository_ctx.path(directory + "/apt.conf"))

    failures = []
    for mirror in _mirrors(repository_ctx):
        repository_ctx.report_progress("{} {} from {}".format(package, version, mirror))
        repository_ctx.file(directory + "/sources.list", _SOURCES_LIST.format(
            keyring = _KEYRING,
            mirror = mirror,
            release = _RELEASE,
        ), False)
        result = _run(repository_ctx, ["apt-get", configuration, "--quiet", "update"])
        if result.return_code == 0:
            result = _run(
                repository_ctx,
                [
                    "apt-get",
                    configuration,
                    "--quiet",
                    "--only-source",
                    "--download-only",
                    "source",
                    package + "=" + version,
                ],
                directory,
            )
        if result.return_code == 0:
            return
        failures.append("{}\n{}".format(mirror, result.stderr))
        known = _run(repository_ctx, ["apt-cache", configuration, "madison", package])
        failures.append("It has:\n" + known.stdout)

    fail("\n\n@{repository}: no mirror gave the source package {package} {version} of Debian {release}.\n".format(
        package = package,
        release = _RELEASE,
        repository = repository_ctx.name,
        version = version,
    ) + "If one of them has a newer version, write that into third_party/repositories.bzl; or define\n" +
         "the repository yourself before slotkv_dependencies() is called.\n\n" + "\n".join(failures))

def _debian_source_impl(repository_ctx):
    _require_tools(repository_ctx)
    directory = "_debian_source"
    _download(repository_ctx, directory)

    # Checks the files' hashes against the .dsc file, as apt has checked that file's; and applies
    # Debian's patches.
    result = _run(
        repository_ctx,
        ["sh", "-c", "dpkg-source --extract *.dsc tree && mv tree/* .."],
        directory,
    )
    if result.return_code != 0:
        fail("\n\n@{repository}: cannot extract the source package {package}.\n{error}".format(
            error = result.stderr,
            package = repository_ctx.attr.package,
            repository = repository_ctx.name,
        ))
    repository_ctx.delete(directory)
    for patch in repository_ctx.attr.patches:
        repository_ctx.patch(patch, strip = 1)
    if repository_ctx.attr.build_file:
        repository_ctx.file("WORKSPACE", "", False)
        repository_ctx.template(
            "BUILD.bazel",
            repository_ctx.attr.build_file,
            {"%{version}": repository_ctx.attr.version},
            False,
        )

debian_source = repository_rule(
    implementation = _debian_source_impl,
    attrs = {
        "build_file": attr.label(
            allow_single_file = True,
            doc = "For a source package that brings no BUILD file. \"%{version}\" in it is replaced.",
        ),
        "package": attr.string(mandatory = True, doc = "The source package's name."),
        "patches": attr.label_list(
            allow_files = [".patch"],
            doc = "Applied after Debian's own.",
        ),
        "version": attr.string(mandatory = True, doc = "Its version, with Debian's revision."),
    },
    doc = """The tree of one of Debian's source packages, patched as Debian patches it.

It is fetched with apt-get, from a package list of its own, under directories of its own: the
machine's package lists are neither read for it nor changed, and it works without root. The release
file's signature is checked with Debian's keyring.""",
)
