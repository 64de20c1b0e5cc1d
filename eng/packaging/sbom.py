#!/usr/bin/env python3
"""Writes the software bill of materials of kbr (CycloneDX 1.6, JSON): the packages of the lock file, and the .NET runtime that Native AOT links.

sbom.py VERSION BINARY > sbom.cdx.json      SOURCE_DATE_EPOCH is its time
sbom.py --check FILE                        fails when a required field is missing, or a package of the lock file
"""
import base64
import datetime
import hashlib
import json
import os
import pathlib
import re
import sys
import uuid
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCK = ROOT / "src/kbr/packages.lock.json"
# They run while kbr is built, and are not in it.
BUILD_ONLY = {"Microsoft.DotNet.ILCompiler", "Microsoft.NET.ILLink.Tasks"}
RUNTIME = "Microsoft.DotNet.ILCompiler"


def locked():
    packages = json.loads(LOCK.read_text())["dependencies"]["net10.0"]
    return {name: package for name, package in packages.items() if package["type"] != "Project"}, packages


def purl(name, version):
    return f"pkg:nuget/{name}@{version}"


def licence(name, version):
    folder = pathlib.Path(os.environ.get("NUGET_PACKAGES", pathlib.Path.home() / ".nuget/packages")) / name.lower() / version
    for file in sorted(folder.glob("*.nuspec")):
        for element in xml.etree.ElementTree.parse(file).iter():
            if element.tag.endswith("}license") and element.get("type") == "expression":
                return [{"expression": element.text}]
    return []


def component(name, version, content_hash):
    found = {
        "type": "library",
        "bom-ref": purl(name, version),
        "name": name,
        "version": version,
        "purl": purl(name, version),
    }
    if content_hash:
        found["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(content_hash).hex()}]
    if licences := licence(name, version):
        found["licenses"] = licences
    return found


def write(version, binary):
    own, packages = locked()
    by_name = {name.lower(): (name, package) for name, package in packages.items()}

    def needs(package):
        # Projects of kbr are part of it: what they need, it needs.
        for name in package.get("dependencies", {}):
            found, dependency = by_name.get(name.lower(), (None, None))
            if found is None or found in BUILD_ONLY:
                continue
            if dependency["type"] == "Project":
                yield from needs(dependency)
            else:
                yield purl(found, dependency["resolved"])

    digest = hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest()
    runtime = {
        "type": "platform",
        "bom-ref": f"dotnet-runtime@{own[RUNTIME]['resolved']}",
        "name": ".NET runtime (Native AOT)",
        "version": own[RUNTIME]["resolved"],
        "purl": purl("Microsoft.NETCore.App.Runtime.NativeAOT.linux-x64", own[RUNTIME]["resolved"]),
        "licenses": [{"expression": "MIT"}],
    }
    linked = {name: package for name, package in own.items() if name not in BUILD_ONLY}
    direct = sorted({purl(name, package["resolved"]) for name, package in linked.items() if package["type"] == "Direct"}
                    | {need for package in packages.values() if package["type"] == "Project" for need in needs(package)})
    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": f"kbr@{version}",
                "name": "kbr",
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
        },
        "components": [runtime]
        + [component(name, package["resolved"], package.get("contentHash")) for name, package in sorted(linked.items())],
        "dependencies": [{"ref": f"kbr@{version}", "dependsOn": [runtime["bom-ref"], *direct]}, {"ref": runtime["bom-ref"], "dependsOn": []}]
        + [
            {"ref": purl(name, package["resolved"]), "dependsOn": sorted(set(needs(package)))}
            for name, package in sorted(linked.items())
        ],
    }
    json.dump(document, sys.stdout, indent=2)
    print()


def check(file):
    document = json.loads(pathlib.Path(file).read_text())
    problems = []

    def want(condition, problem):
        if not condition:
            problems.append(problem)

    want(document.get("bomFormat") == "CycloneDX", "bomFormat is not CycloneDX")
    want(document.get("specVersion") == "1.6", "specVersion is not 1.6")
    want(document.get("version") == 1, "version is not 1")
    want(re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document.get("serialNumber", "")), "serialNumber is no UUID")
    want(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document.get("metadata", {}).get("timestamp", "")), "metadata.timestamp is no time")
    components = [document.get("metadata", {}).get("component", {}), *document.get("components", [])]
    refs = [one.get("bom-ref") for one in components]
    want(len(set(refs)) == len(refs), "two components have the same bom-ref")
    for one in components:
        for key in ("type", "name", "version", "bom-ref"):
            want(one.get(key), f"{one.get('name')} has no {key}")
        for digest in one.get("hashes", []):
            length = {"SHA-256": 64, "SHA-512": 128}.get(digest.get("alg"))
            want(length and re.fullmatch(f"[0-9a-f]{{{length}}}", digest.get("content", "")), f"{one.get('name')} has a bad hash")
    for edge in document.get("dependencies", []):
        for ref in [edge.get("ref"), *edge.get("dependsOn", [])]:
            want(ref in refs, f"the dependency {ref} is no component")
    want({edge.get("ref") for edge in document.get("dependencies", [])} == set(refs), "not every component has its dependencies")
    for name, package in locked()[0].items():
        want(name in BUILD_ONLY or purl(name, package["resolved"]) in refs, f"{name} of the lock file is missing")
    for problem in problems:
        print(f"{file}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    write(sys.argv[1], sys.argv[2])
