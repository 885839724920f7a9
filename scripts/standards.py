#!/usr/bin/env python3
"""Turns requirement ids in code and tests into docs/standards.md.

    scripts/standards.py            writes docs/standards.md and says which ids have no test
    scripts/standards.py --check    changes nothing; fails if docs/standards.md is not what would be
                                    written, or if an id of docs/requirements.tsv has no test

An id such as BCP-05 in a comment of the code says where a requirement is checked. A test shows it by its
name (`bcp_05_...`, several ids one after another) or by a comment in or directly above it. Scripts that tests run,
such as a client of another language, show what they mention. docs/requirements.tsv says what each id means.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "docs" / "requirements.tsv"
REPORT = ROOT / "docs" / "standards.md"
SOURCES = ["crates", "migrations", "examples", "tests"]
KINDS = {".rs", ".sql", ".html", ".ftl", ".js", ".mjs", ".py", ".toml"}
SKIPPED = {"node_modules", "target", "__pycache__", "demo-data"}

# The families of ids; without them UTF-16 would be a requirement.
FAMILIES = (
    "F2 MS BCP O21 OC DP MT PAR RAR JAR RV IN DV TX DR AT IS SU CB LO BL FL SM JO SE OUT CC JB JW RI RF ER"
).split()
ID = re.compile(r"\b(" + "|".join(FAMILIES) + r")-([0-9]{2})\b")
ID_IN_NAME = re.compile(r"(?:^|(?<=_))(" + "|".join(map(str.lower, FAMILIES)) + r")_([0-9]{2})(?=_|$)")
FUNCTION = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?fn (\w+)")
LIST = re.compile(r"\b\w+!\s*[({]([\w\s,]+)[)}]")
TEST_MODULE = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?(?:mod|impl)\b.*\{\s*$")


def ids(text):
    return {f"{family}-{number}" for family, number in ID.findall(text)}


def ids_of_name(name):
    return {f"{family.upper()}-{number}" for family, number in ID_IN_NAME.findall(name)}


def is_test_file(path):
    """Whether all of a file is test: below tests/, a `tests` or `testing` module, or a `*_tests` file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] == "tests" or bool({"tests", "testing"} & set(parts)) or parts[-1].endswith("_tests")


def end_of_block(lines, start, indent):
    """The line that closes a block opened at `start`, by its indentation, as rustfmt leaves it."""
    for number in range(start + 1, len(lines)):
        if lines[number].startswith(indent + "}"):
            return number
    return start


def test_lines(lines):
    """The lines of a source file that are in its `#[cfg(test)]` modules."""
    inside = set()
    for number, line in enumerate(lines):
        if line.strip() != "#[cfg(test)]":
            continue
        start = number + 1
        while start < len(lines) and lines[start].lstrip().startswith(("#", "//")):
            start += 1
        if start < len(lines) and TEST_MODULE.match(lines[start]):
            indent = line[: len(line) - len(line.lstrip())]
            inside.update(range(number, end_of_block(lines, start, indent) + 1))
    return inside


def tests_of(lines, inside):
    """Every test among the test lines, with the ids in its name, its body and the comment above it. A test has an
    attribute that says so, or stands in the list of a macro that makes tests, or is named after an id."""
    listed = {name for names in LIST.findall("\n".join(lines)) for name in re.findall(r"\w+", names)}
    found = []
    for number, line in enumerate(lines):
        function = FUNCTION.match(line) if number in inside else None
        if not function:
            continue
        start = number
        while start > 0 and lines[start - 1].lstrip().startswith(("///", "// ", "#[")):
            start -= 1
        one_line = line.rstrip().endswith("}")
        end = number if one_line else end_of_block(lines, number, function[1])
        named = ids_of_name(function[2])
        attributes = "".join(text for text in lines[start:number] if text.lstrip().startswith("#["))
        if named or "test" in attributes or function[2] in listed:
            comments = "\n".join(text for text in lines[start : end + 1] if "//" in text)
            found.append((function[2], named | ids(comments)))
    return found


def read(path, checked, shown):
    lines = path.read_text(encoding="utf-8").splitlines()
    name = path.relative_to(ROOT).as_posix()
    if path.suffix != ".rs":
        whole = ids("\n".join(lines))
        for requirement in whole:
            (shown if is_test_file(path) else checked)[requirement].add((name, None) if is_test_file(path) else name)
        return
    inside = set(range(len(lines))) if is_test_file(path) else test_lines(lines)
    for requirement in ids("\n".join(line for number, line in enumerate(lines) if number not in inside)):
        checked[requirement].add(name)
    for test, requirements in tests_of(lines, inside):
        for requirement in requirements:
            shown[requirement].add((name, test))


def collect():
    checked, shown = defaultdict(set), defaultdict(set)
    for top in SOURCES:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and path.suffix in KINDS and not SKIPPED & set(path.parts):
                read(path, checked, shown)
    return checked, shown


def requirements():
    """The rows of the table: id, section, wording. Lines that begin with # are remarks."""
    rows = []
    for number, line in enumerate(REQUIREMENTS.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 3 or not ID.fullmatch(cells[0]):
            sys.exit(f"{REQUIREMENTS.relative_to(ROOT)}:{number}: write id, section, wording, separated by tabs")
        rows.append(cells)
    if len({row[0] for row in rows}) != len(rows):
        sys.exit(f"{REQUIREMENTS.relative_to(ROOT)}: an id stands there twice")
    return rows


def link(name):
    return f"[{name.removeprefix('crates/').replace('/src/', '/')}](../{name})"


def places(names):
    return "<br>".join(link(name) for name in sorted(names)) or "—"


def tests(found):
    """Tests, grouped by file."""
    by_file = defaultdict(list)
    for name, test in sorted(found, key=lambda pair: (pair[0], pair[1] or "")):
        by_file[name].append(test)
    groups = []
    for name, names in by_file.items():
        called = ", ".join(f"`{test}`" for test in names if test)
        groups.append(f"{link(name)}: {called}" if called else link(name))
    return "<br>".join(groups) or "**none**"


def report(rows, checked, shown):
    known = {row[0] for row in rows}
    without = [row[0] for row in rows if not shown[row[0]]]
    family = {name: place for place, name in enumerate(FAMILIES)}
    others = sorted((set(checked) | set(shown)) - known, key=lambda i: (family[i.split("-")[0]], i))
    others = [requirement for requirement in others if checked[requirement] or shown[requirement]]
    lines = [
        "# Standards coverage",
        "",
        "<!-- Generated from docs/requirements.tsv and the ids in code and tests.",
        "     Regenerate: scripts/standards.py -->",
        "",
        "What Chancery is held to today, where the code says so, and which tests show it. The wording is ours;",
        "where it differs from a standard, the standard wins.",
        "",
        f"{len(rows)} requirements, {len(rows) - len(without)} of them shown by a test.",
        "",
        "| Id | Requirement | Checked in | Shown by |",
        "|---|---|---|---|",
    ]
    for requirement, section, wording in rows:
        lines.append(
            f"| {requirement} | {wording} <br>*{section}* | {places(checked[requirement])} "
            f"| {tests(shown[requirement])} |"
        )
    if others:
        lines += [
            "",
            "## Also named",
            "",
            "Ids that code or tests name although the table above does not promise them yet: parts of later work,",
            "or halves of a requirement.",
            "",
            "| Id | Named in | Shown by |",
            "|---|---|---|",
        ]
        for requirement in others:
            test = tests(shown[requirement]) if shown[requirement] else "—"
            lines.append(f"| {requirement} | {places(checked[requirement])} | {test} |")
    return "\n".join(lines) + "\n", without


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__.strip())
    check = "--check" in sys.argv
    text, without = report(requirements(), *collect())
    drifted = not REPORT.exists() or REPORT.read_text(encoding="utf-8") != text
    if without:
        print(f"no test shows: {' '.join(without)}", file=sys.stderr)
    if not check:
        REPORT.write_text(text, encoding="utf-8")
        return
    if drifted:
        print("docs/standards.md is not current; run scripts/standards.py", file=sys.stderr)
    if drifted or without:
        sys.exit(1)


if __name__ == "__main__":
    main()
