#!/usr/bin/env python3
"""Adds up test results files (TRX): says what failed and why, prints "N passed, N failed, N skipped", and exits 1 unless every test of every file passed."""
import sys
import xml.etree.ElementTree as ElementTree

NAMESPACE = {"t": "http://microsoft.com/schemas/VisualStudio/TeamTest/2010"}
passed = failed = skipped = 0
for path in sys.argv[1:]:
    try:
        results = ElementTree.parse(path)
        summary = results.find(".//t:ResultSummary", NAMESPACE)
        counters = summary.find("t:Counters", NAMESPACE).attrib
    except (OSError, ElementTree.ParseError, AttributeError) as error:
        print(f"{path}: no results: {error}", file=sys.stderr)
        failed += 1
        continue
    total, ok, executed = (int(counters[name]) for name in ("total", "passed", "executed"))
    if total == 0:
        print(f"{path}: no test ran", file=sys.stderr)
        failed += 1
    if summary.get("outcome") == "Failed" and executed == ok:
        print(f"{path}: the run did not end as it should", file=sys.stderr)
        for said in summary.iterfind(".//t:RunInfo/t:Text", NAMESPACE):
            print("\n".join(f"    {line}" for line in (said.text or "").splitlines()), file=sys.stderr)
        failed += 1
    classes = {test.get("id"): test.find("t:TestMethod", NAMESPACE).get("className") for test in results.iterfind(".//t:UnitTest", NAMESPACE)}
    for result in results.iterfind(".//t:UnitTestResult", NAMESPACE):
        if result.get("outcome") == "Passed":
            continue
        print(f"\n{result.get('outcome')}: {classes.get(result.get('testId'), path)}: {result.get('testName')} ({result.get('duration')})")
        for part in ("Message", "StackTrace"):
            text = result.findtext(f"t:Output/t:ErrorInfo/t:{part}", "", NAMESPACE).strip()
            print("\n".join(f"    {line}" for line in text.splitlines()))
    passed += ok
    failed += executed - ok
    skipped += total - executed
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(0 if failed == 0 and passed > 0 else 1)
