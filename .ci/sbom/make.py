"""Writes a bill of materials (CycloneDX 1.6, JSON) of what is linked into the server, from Cargo's own metadata."""

import json
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True).stdout


host = next(line.split()[1] for line in cargo("version", "--verbose").splitlines() if line.startswith("host:"))
metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", host))
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]
with open("Cargo.lock", "rb") as lock:
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(lock)["package"]}


def name_of(id):
    return f"{packages[id]['name']}@{packages[id]['version']}"


# What Cargo compiles into the server: not what it builds or tests itself with, and no macros, which run while compiling.
# (The metadata alone would name more: there, a macro's features count for what is linked, too.)
tree = cargo("tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}")
compiled = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
linked = {id for id in nodes if (packages[id]["name"], f"v{packages[id]['version']}") in compiled}
if len(linked) != len(compiled):
    sys.exit("cargo tree names packages that cargo metadata does not")


def linked_by(id):
    for dependency in nodes[id]["deps"]:
        if dependency["pkg"] in linked and any(kind["kind"] is None for kind in dependency["dep_kinds"]):
            yield dependency["pkg"]


def component(id):
    package = packages[id]
    purl = f"pkg:cargo/{package['name']}@{package['version']}"
    described = {
        "type": "application" if id == root else "library",
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "purl": purl,
    }
    if package["description"]:
        described["description"] = " ".join(package["description"].split())
    if package["license"]:
        # Cargo took "/" for "OR" once.
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ").replace("  ", " ")}]
    if checksum := checksums[package["name"], package["version"]]:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return described


def ref(id):
    return f"pkg:cargo/{name_of(id)}"


bill = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": f"urn:uuid:{uuid.uuid4()}",
    "version": 1,
    "metadata": {
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "component": component(root),
        "properties": [{"name": "stockhold:target", "value": host}],
    },
    "components": [component(id) for id in sorted(linked - {root}, key=name_of)],
    "dependencies": [
        {"ref": ref(id), "dependsOn": sorted({ref(dependency) for dependency in linked_by(id)})}
        for id in sorted(linked, key=name_of)
    ],
}

json.dump(bill, sys.stdout, indent=1)
