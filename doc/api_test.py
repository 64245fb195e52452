#!/usr/bin/python3
"""doc/api.md and the public headers tell of the same symbols, and each symbol has a comment.

In api.md a section "## `slotkv/X.h`" is about one header. In its tables the first cell of a row
names symbols, each in backticks: `Type::member`, or `member` below a heading "### `Type`"; what is
in parentheses does not count, and an overloaded function stands there once for each overload. A
heading "### `Type`" is about that type, too. A row for what no header declares is an error as well.

In the headers a symbol has a comment if there is one behind it on its line or right above it, with
no blank line between; or if it follows right upon one that has, or upon the opening line of a type
that has. Not asked for: operators, destructors, what is copied, moved, deleted or a friend.
"""

import collections
import os
import re
import sys

Symbol = collections.namedtuple("Symbol", "scope name line commented")

# One token: a comment, blank lines, a string or character, a word, "::", or any other character.
_TOKEN = re.compile(r"""(?P<comment>//[^\n]*)|(?P<space>\s+)|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
                    r"""|\w+|::|.""")
_NAME = re.compile(r"[A-Za-z_]\w*$")
_CLOSING = {"(": ")", "{": "}", "<": ">", "[": "]"}


class Header:
    """The public symbols of one header: a parser for the C++ that this project's headers hold."""

    def __init__(self, text):
        text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
        self._tokens = []  # (text, line)
        line = 1
        for match in _TOKEN.finditer(text):
            if match.lastgroup == "space":
                # A blank line is a token of its own; it is what separates groups.
                if match.group().count("\n") > 1:
                    self._tokens.append(("\n", line))
            else:
                self._tokens.append((match.group(), line))
            line += match.group().count("\n")
        self._next = 0
        self.symbols = []
        self._scope("", public=True, commented=False)

    def _scope(self, scope, public, commented):
        """Reads members up to and with the closing brace, or to the end of the file."""
        last_line = None  # of the member before
        mine = []  # of the member before
        while self._next < len(self._tokens):
            text, line = self._tokens[self._next]
            if text == "}":
                self._next += 1
                return
            if text == "\n":
                commented = False
                mine = []
                self._next += 1
            elif text.startswith("//"):
                if line == last_line:
                    self._mark(mine)
                commented = True
                self._next += 1
            elif text in ("public", "private", "protected"):
                public = text == "public"
                self._next += 2
            else:
                first = len(self.symbols)
                has_members = self._member(scope, public, commented)
                mine = [] if has_members else range(first, len(self.symbols))
                last_line = self._tokens[self._next - 1][1]

    def _mark(self, indexes):
        for i in indexes:
            self.symbols[i] = self.symbols[i]._replace(commented=True)

    def _balanced(self):
        """Skips from an opening bracket to behind the one that closes it."""
        opening = self._tokens[self._next][0]
        depth = 0
        while True:
            text = self._tokens[self._next][0]
            self._next += 1
            depth += (text == opening) - (text == _CLOSING[opening])
            if depth == 0:
                return

    def _member(self, scope, public, commented):
        """Reads one declaration. True if it has members of its own."""
        line = self._tokens[self._next][1]
        head = []  # brackets with what is in them are one element, the bracket
        while True:
            text = self._tokens[self._next][0]
            if text == ";":
                self._next += 1
                break
            has_value = "=" in head and "operator" not in head
            if text == "{" and not has_value:
                if self._braces(scope, public, commented, head, line):
                    return True
                if "(" in head:
                    break
            elif text in "({[" or (text == "<" and not has_value and "operator" not in head):
                head.append(text)
                self._balanced()
            else:
                if not text.startswith("//") and text != "\n":
                    head.append(text)
                self._next += 1
        if public:
            for name in self._declared(scope, head):
                self.symbols.append(Symbol(scope, name, line, commented))
        return False

    def _braces(self, scope, public, commented, head, line):
        """At a "{" of a declaration. True if it holds members, which are then read to the end."""
        words = [word for word in head if _NAME.match(word)]
        kinds = [word for word in words if word in ("namespace", "enum", "class", "struct")]
        kind = kinds[0] if kinds else ""
        if "(" in head or not kind:  # a function's body, or a value
            self._balanced()
            return False
        self._next += 1
        if kind == "namespace":
            self._scope("", True, False)
            return True
        after = words[words.index(kind) + 1:]
        is_strong_enum = kind == "enum" and after[0] == "class"
        name = after[1] if is_strong_enum else after[0]
        if public:
            self.symbols.append(Symbol(scope, name, line, commented))
        inner = f"{scope}::{name}".lstrip(":")
        if kind == "enum":
            self._enumerators(inner if is_strong_enum else scope, public, commented)
        else:
            first = len(self.symbols)
            self._scope(inner, kind == "struct", commented)
            if not public:
                del self.symbols[first:]
        self._next += 1  # ";"
        return True

    def _enumerators(self, scope, public, commented):
        expects_name = True
        mine, last_line = [], None
        while True:
            text, line = self._tokens[self._next]
            self._next += 1
            if text == "}":
                return
            if text == "\n":
                commented = False
            elif text.startswith("//"):
                if line == last_line:
                    self._mark(mine)
                commented = True
            elif text == ",":
                expects_name = True
            elif expects_name:
                expects_name = False
                if public:
                    mine, last_line = [len(self.symbols)], line
                    self.symbols.append(Symbol(scope, text, line, commented))

    @staticmethod
    def _declared(scope, head):
        """The names that a declaration without a body of members declares."""
        if head[:1] == ["template"]:
            head = head[2:]
        if not head or head[0] == "friend" or "operator" in head or "~" in head:
            return []
        if head[0] == "using":
            return [head[1]]
        if head[0] in ("class", "struct") and len(head) == 2:
            return []  # a forward declaration
        if "(" in head and ("=" not in head or head.index("(") < head.index("=")):
            name = head[head.index("(") - 1]
            is_constructor = scope.split("::")[-1] == name
            return [] if is_constructor and "delete" in head else [name]
        declarators = [[]]
        in_value = False
        for text in head:
            if text == ",":
                declarators.append([])
                in_value = False
            elif text == "=":
                in_value = True
            elif not in_value and _NAME.match(text):
                declarators[-1].append(text)
        return [words[-1] for words in declarators]


def documented(text):
    """Of each header's section, the symbols that are told of, with their multiplicity."""
    sections = collections.defaultdict(collections.Counter)
    header = scope = None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("## "):
            match = re.match(r"## `slotkv/(\w+\.h)`", line)
            header, scope = (match.group(1), "") if match else (None, None)
            if header:
                sections[header].update()
        elif header and line.startswith("### "):
            match = re.match(r"### `(\w+(?:::\w+)*)`$", line)
            scope = match.group(1) if match else ""
            if scope:
                sections[header][scope] += 1
        elif header and line.startswith("|"):
            if line.startswith("|-") or lines[number + 1].startswith("|-"):
                continue
            for span in re.findall(r"`([^`]*)`", line.split("|")[1]):
                name = span.partition("(")[0].strip()
                sections[header][name if "::" in name or not scope else f"{scope}::{name}"] += 1
    return sections


def main():
    here = os.path.dirname(sys.argv[0])
    include = os.path.join(here, "..", "tools", "installation", "include", "slotkv")
    with open(os.path.join(here, "api.md"), encoding="utf-8") as file:
        api = file.read()
    errors = []
    sections = documented(api)
    headers = sorted(os.listdir(include))
    if "keyspace.h" not in headers:
        errors.append(f"{include} does not hold the public headers")
    for header in headers:
        with open(os.path.join(include, header), encoding="utf-8") as file:
            symbols = Header(file.read()).symbols
        if not symbols:
            errors.append(f"slotkv/{header}: no symbol found")
        for symbol in symbols:
            if not symbol.commented:
                errors.append(f"slotkv/{header}:{symbol.line}: {symbol.scope or 'slotkv'}"
                              f"::{symbol.name} has no comment")
        declared = collections.Counter(f"{s.scope}::{s.name}".lstrip(":") for s in symbols)
        told = sections.pop(header, collections.Counter())
        for name in sorted(declared | told):
            if told[name] != declared[name]:
                errors.append(f"slotkv/{header}: {name} is declared {declared[name]} times, "
                              f"and in api.md {told[name]} times")
    for header in sections:
        errors.append(f"api.md has a section for slotkv/{header}, which is no public header")
    for link in re.findall(r"\]\(([^)#]+)\)", api):
        if not os.path.exists(os.path.join(here, link)):
            errors.append(f"api.md links {link}, which is not there")
    for example in sorted(os.listdir(os.path.join(here, "examples"))):
        if f"](examples/{example})" not in api:
            errors.append(f"api.md has no link to examples/{example}")
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
