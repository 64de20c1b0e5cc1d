#!/usr/bin/env python3
"""Adds up test results files (TRX) and prints "N passed, N failed, N skipped"; exits 1 unless every test of every file passed."""
import sys
import xml.etree.ElementTree as ElementTree

NAMESPACE = {"t": "http://microsoft.com/schemas/VisualStudio/TeamTest/2010"}
passed = failed = skipped = 0
for path in sys.argv[1:]:
    try:
        counters = ElementTree.parse(path).find(".//t:ResultSummary/t:Counters", NAMESPACE).attrib
    except (OSError, ElementTree.ParseError, AttributeError) as error:
        print(f"{path}: no results: {error}", file=sys.stderr)
        failed += 1
        continue
    total, ok, executed = (int(counters[name]) for name in ("total", "passed", "executed"))
    if total == 0:
        print(f"{path}: no test ran", file=sys.stderr)
        failed += 1
    passed += ok
    failed += executed - ok
    skipped += total - executed
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(0 if failed == 0 and passed > 0 else 1)
