#!/usr/bin/env python3
"""Writes a container image as an archive for `docker load`, from a folder that is its root file system. The same folder makes the same bytes.

image.py ROOT NAME:TAG ARCHIVE      SOURCE_DATE_EPOCH is its time
"""
import datetime
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

root, name, archive = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
epoch = int(os.environ["SOURCE_DATE_EPOCH"])
USER = 65532


def plain(entry):
    entry.mtime, entry.uname, entry.gname = epoch, "", ""
    # The working directory is the user's, everything else is root's.
    entry.uid = entry.gid = USER if entry.name == "work" else 0
    return entry


layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as tar:
    for path in sorted(root.rglob("*")):
        tar.add(path, path.relative_to(root).as_posix(), recursive=False, filter=plain)
layer = layer.getvalue()

config = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "created": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": {"User": f"{USER}:{USER}", "WorkingDir": "/work", "Entrypoint": ["/usr/bin/kbr"], "Env": ["PATH=/usr/bin", "HOME=/work"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created_by": "eng/package.sh"}],
    },
    sort_keys=True,
).encode()
digest = hashlib.sha256(config).hexdigest()
manifest = json.dumps([{"Config": f"{digest}.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()

with tarfile.open(archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
    for file, content in (("layer.tar", layer), (f"{digest}.json", config), ("manifest.json", manifest)):
        entry = tarfile.TarInfo(file)
        entry.size, entry.mtime, entry.mode = len(content), epoch, 0o644
        tar.addfile(entry, io.BytesIO(content))
