#!/usr/bin/env python3
"""Writes kbr as a dotnet tool: kbr.VERSION.nupkg, which points to a package for each platform; kbr.linux-x64, the program of Native AOT; and kbr.any, which .NET runs.
They are what `dotnet pack` makes of a tool with ToolPackageRuntimeIdentifiers, without compiling again, and the same input makes the same bytes.

nupkg.py VERSION BINARY BUILD OUT      SOURCE_DATE_EPOCH is their time
"""
import datetime
import os
import pathlib
import sys
import zipfile

version, binary, build, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
root = pathlib.Path(__file__).resolve().parents[2]
# A zip file begins in 1980.
time = datetime.datetime.fromtimestamp(max(int(os.environ["SOURCE_DATE_EPOCH"]), 315619200), datetime.timezone.utc)
DESCRIPTION = "kbr, the KeyBuzz Reconciler: compares hosts with cluster.yaml, and applies the difference. No licence has been chosen."


def settings(schema, commands, packages=""):
    return f'<?xml version="1.0" encoding="utf-8"?>\n<DotNetCliTool Version="{schema}">\n  <Commands>\n    {commands}\n  </Commands>\n{packages}</DotNetCliTool>\n'.encode()


def write(name, kind, files):
    nuspec = f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2012/06/nuspec.xsd">
  <metadata>
    <id>{name}</id>
    <version>{version}</version>
    <authors>KeyBuzz</authors>
    <readme>README.md</readme>
    <description>{DESCRIPTION}</description>
    <packageTypes>
      <packageType name="{kind}" />
    </packageTypes>
  </metadata>
</package>
"""
    relations = f"""<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/{name}.nuspec" Id="R1" />
</Relationships>
"""
    everything = {
        "_rels/.rels": relations.encode(),
        f"{name}.nuspec": nuspec.encode(),
        "README.md": (root / "README.md").read_bytes(),
        **files,
    }
    # A part without an ending, such as the program itself, is named.
    endings = sorted({pathlib.PurePosixPath(path).suffix[1:] for path in everything if not path.startswith("_rels")} - {""})
    types = '<?xml version="1.0" encoding="utf-8"?>\n<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\n'
    types += '  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />\n'
    types += "".join(f'  <Default Extension="{ending}" ContentType="application/octet" />\n' for ending in endings)
    types += "".join(f'  <Override PartName="/{path}" ContentType="application/octet" />\n' for path in sorted(everything) if "." not in path.split("/")[-1])
    everything["[Content_Types].xml"] = (types + "</Types>\n").encode()
    with zipfile.ZipFile(out / f"{name}.{version}.nupkg", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path, content in everything.items():
            entry = zipfile.ZipInfo(path, time.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path.endswith("/kbr") else 0o100644) << 16
            package.writestr(entry, content)


pointer = "".join(f'    <RuntimeIdentifierPackage RuntimeIdentifier="{rid}" Id="kbr.{rid}" />\n' for rid in ("linux-x64", "any"))
write(
    "kbr",
    "DotnetTool",
    {
        "tools/any/any/DotnetToolSettings.xml": settings(
            2, '<Command Name="kbr" />', f"  <RuntimeIdentifierPackages>\n{pointer}  </RuntimeIdentifierPackages>\n"
        )
    },
)
write(
    "kbr.linux-x64",
    "DotnetToolRidPackage",
    {
        "tools/any/linux-x64/DotnetToolSettings.xml": settings(2, '<Command Name="kbr" EntryPoint="kbr" Runner="executable" />'),
        "tools/any/linux-x64/kbr": binary.read_bytes(),
    },
)
parts = sorted(path for ending in ("*.dll", "*.deps.json", "*.runtimeconfig.json") for path in build.rglob(ending))
write(
    "kbr.any",
    "DotnetToolRidPackage",
    {
        "tools/net10.0/any/DotnetToolSettings.xml": settings(1, '<Command Name="kbr" EntryPoint="kbr.dll" Runner="dotnet" />'),
        **{f"tools/net10.0/any/{path.relative_to(build).as_posix()}": path.read_bytes() for path in parts},
    },
)
