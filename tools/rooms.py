# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The rooms of kernel/sodp: includes and calls point down only.

Read from the sources, without a compiler: what other files see is called
sodp_*, a name that the module has once.  A file points to those that it
includes, and to those that define what it names.
"""

import re

ROOMS = ("verbs", "xport", "qp", "queue", "mem", "net", "base")

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
_INCLUDE_ANY = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)
_TAG = re.compile(r"\b(?:struct|enum|union)\s+\w+")
_NAME = re.compile(r"\bsodp_\w+\b")
_FUNCTION = re.compile(r"^(?!static\b)[a-z][^;{}=#]*?\b(sodp_\w+)\(", re.M)
_DATA = re.compile(
    r"^(?!static\b|extern\b|typedef\b)[a-z][\w \t*]*\b(sodp_\w+)"
    r"(?:\[[^\]\n]*\])*\s*(?:=|;)",
    re.M,
)


def bare(text):
    """C without comments and strings; includes are gone with these."""
    return _COMMENT.sub(" ", text)


def room(name):
    """The room that a file, named from kernel/sodp/ on, is in."""
    top = name.split("/")[0]
    return top if top in ROOMS else None


def defines(text):
    """What other files see of a .c file."""
    names = {m.group(1) for m in _DATA.finditer(text)}
    for match in _FUNCTION.finditer(text):
        # Up to the end of the arguments: a body follows, or a semicolon
        depth, at = 0, match.end() - 1
        while at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
            if not depth:
                break
        if text[at:].lstrip().startswith("{"):
            names.add(match.group(1))
    return names


def arrows(files):
    """{(from, to): names} between files; {name: text} is given."""
    texts = {name: bare(text) for name, text in files.items()}
    owner = {}
    for name, text in texts.items():
        if name.endswith(".c"):
            owner.update(dict.fromkeys(defines(text), name))
    found = {}
    for name, text in texts.items():
        for target in _INCLUDE.findall(files[name]):
            if target in files:
                found.setdefault((name, target), set()).add("#include")
        if name.endswith(".h") and not re.search(r"\binline\b", text):
            continue
        for word in set(_NAME.findall(_TAG.sub("", _calls(name, text)))):
            target = owner.get(word, name)
            if target != name:
                found.setdefault((name, target), set()).add(word)
    return found


def _calls(name, text):
    """What code names: of a header the bodies of its functions."""
    if name.endswith(".c"):
        return text
    return "\n".join(re.findall(r"^\{$.*?^\}", text, re.M | re.S))


def upward(files):
    """Arrows that point up, or to no room, as lines of complaint."""
    found = []
    for (name, target), names in sorted(arrows(files).items()):
        if not room(name) or not room(target):
            found.append(f"{name}: {target} is in no room")
        elif ROOMS.index(room(target)) < ROOMS.index(room(name)):
            found.append(
                f"{name}: points up to {target}: " + " ".join(sorted(names))
            )
    return found


def compat(files, ours):
    """Headers of kernel/compat that include one of ours."""
    found = []
    for name, text in sorted(files.items()):
        for target in _INCLUDE_ANY.findall(text):
            if target in ours or target.split("/")[-1] in ours:
                found.append(f"{name}: includes {target}")
    return found
