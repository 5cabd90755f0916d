import { createCipheriv } from "node:crypto";
import { crc32, deflateRawSync } from "node:zlib";

/**
 * What a GOPROXY serves, as a plain map: the request path without its leading slash, `!` unescaped from `%21`
 * (`example.com/!upper/!case/@v/v1.0.0.zip`, a BlobKey), to the bytes of the 200 answer.
 */
export type FixtureFiles = Map<string, Uint8Array>;

/** One version of one module. */
export interface FixtureVersion {
  /** As written in Go, such as `example.com/Upper/Case`. */
  readonly path: string;
  /** Canonical, such as `v1.0.0`, `v3.0.0+incompatible` or a pseudo-version. */
  readonly version: string;
  /** What stands in the repository, without `go.mod`; name to content. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** The `go.mod` in the repository. Without one, `.mod` is synthesized and the zip has none. */
  readonly goMod?: string;
  /** RFC 3339. Default 2024-01-02T03:04:05Z. */
  readonly time?: string;
  /** Whether `list` has it. Default: yes, unless it is a pseudo-version. */
  readonly listed?: boolean;
  /** `@latest` answers this one. Default: the last listed release of the path, else its last version. */
  readonly latest?: boolean;
  /** The exact `.info` text, for upstreams that write it their own way. */
  readonly info?: string;
  /** Branches and hashes whose `.info` answers this version. */
  readonly queries?: readonly string[];
}

const defaultTime = "2024-01-02T03:04:05Z";
/** The zip of `example.com/big` is a little larger: its content does not compress. */
export const bigFileBytes = 7 * 1024 * 1024;
export const pseudoVersion = "v0.0.0-20240102030405-abcdef123456";
export const pseudoVersionHash = "abcdef123456";
export const toolchainVersion = "v0.0.1-go1.99.0.linux-amd64";

/**
 * A small world of modules. All build, and `go mod verify` agrees with them.
 *
 * - `example.com/leaf`: v1.0.0 and v1.1.0 have no `go.mod`; v1.2.0; v1.3.0-rc.1
 * - `example.com/Upper/Case`: escaped path; v1.1.0-RC.1 has an escaped version too
 * - `example.com/versioned` v1 and `example.com/versioned/v2`; `gopkg.in/fixture.v2`
 * - `example.com/legacy`: v1.0.0 and v3.0.0+incompatible, no `go.mod`; the query v3.0.0 answers the latter
 * - `example.com/pseudo`: no tags; the branch `main` and the hash `abcdef123456` answer its pseudo-version
 * - `example.com/retracted`: v1.2.0 retracts itself and v1.1.0, so v1.0.0 is the latest
 * - `example.com/deprecated`: v1.1.0 says so
 * - `example.com/oddinfo`: `.info` with spaces, lower-case and unknown fields
 * - `example.com/big`: 7 MiB that do not compress
 * - `example.com/nested/{a,b,c,d}`: a needs b and c, both need different versions of d, d needs leaf
 * - `golang.org/toolchain`: a `bin/go` that is a shell script (its zip is no real toolchain)
 */
export const fixtureVersions: readonly FixtureVersion[] = [
  { path: "example.com/leaf", version: "v1.0.0", files: goFiles("leaf") },
  { path: "example.com/leaf", version: "v1.1.0", files: goFiles("leaf") },
  withGoMod("example.com/leaf", "v1.2.0"),
  withGoMod("example.com/leaf", "v1.3.0-rc.1"),
  withGoMod("example.com/Upper/Case", "v1.0.0"),
  withGoMod("example.com/Upper/Case", "v1.1.0-RC.1"),
  withGoMod("example.com/versioned", "v1.0.0"),
  withGoMod("example.com/versioned/v2", "v2.0.0"),
  withGoMod("example.com/versioned/v2", "v2.1.0", ["example.com/versioned v1.0.0"]),
  withGoMod("gopkg.in/fixture.v2", "v2.3.4"),
  { path: "example.com/legacy", version: "v1.0.0", files: goFiles("legacy") },
  { path: "example.com/legacy", version: "v3.0.0+incompatible", files: goFiles("legacy"), queries: ["v3.0.0"] },
  { ...withGoMod("example.com/pseudo", pseudoVersion), queries: ["main", pseudoVersionHash] },
  { ...withGoMod("example.com/retracted", "v1.0.0"), latest: true },
  withGoMod("example.com/retracted", "v1.1.0"),
  {
    path: "example.com/retracted",
    version: "v1.2.0",
    files: goFiles("retracted"),
    goMod: "module example.com/retracted\n\ngo 1.21\n\n// Published by mistake.\nretract [v1.1.0, v1.2.0]\n",
  },
  withGoMod("example.com/deprecated", "v1.0.0"),
  {
    path: "example.com/deprecated",
    version: "v1.1.0",
    files: goFiles("deprecated"),
    goMod: "// Deprecated: use example.com/leaf instead.\nmodule example.com/deprecated\n\ngo 1.21\n",
  },
  {
    ...withGoMod("example.com/oddinfo", "v1.0.0"),
    info: '\n { "version" : "v1.0.0",\n\t"Time": "2024-01-02T03:04:05.678+02:00", "Name":"v1.0.0", "Short" : {"a":[1]} } \n',
  },
  {
    path: "example.com/big",
    version: "v1.0.0",
    files: { ...goFiles("big"), "data.bin": incompressible(bigFileBytes) },
    goMod: "module example.com/big\n\ngo 1.21\n",
  },
  withGoMod("example.com/nested/d", "v1.0.0"),
  withGoMod("example.com/nested/d", "v1.2.0", ["example.com/leaf v1.2.0"]),
  withGoMod("example.com/nested/c", "v1.0.0", [
    "example.com/nested/d v1.2.0",
    "example.com/legacy v3.0.0+incompatible",
  ]),
  withGoMod("example.com/nested/b", "v1.1.0", ["example.com/nested/d v1.0.0", `example.com/pseudo ${pseudoVersion}`]),
  withGoMod("example.com/nested/a", "v1.0.0", ["example.com/nested/b v1.1.0", "example.com/nested/c v1.0.0"]),
  {
    path: "golang.org/toolchain",
    version: toolchainVersion,
    files: { "bin/go": "#!/bin/sh\necho fixture toolchain go1.99.0\n", VERSION: "go1.99.0\n" },
    goMod: "module golang.org/toolchain\n",
  },
];

/** A main module that needs all of them but the toolchain: file name to content, to be written into an empty folder. */
export const fixtureConsumer: Readonly<Record<string, string>> = consumer([
  "example.com/Upper/Case v1.0.0",
  "example.com/big v1.0.0",
  "example.com/deprecated v1.1.0",
  "example.com/leaf v1.2.0",
  "example.com/legacy v3.0.0+incompatible",
  "example.com/nested/a v1.0.0",
  "example.com/oddinfo v1.0.0",
  `example.com/pseudo ${pseudoVersion}`,
  "example.com/retracted v1.0.0",
  "example.com/versioned v1.0.0",
  "example.com/versioned/v2 v2.1.0",
  "gopkg.in/fixture.v2 v2.3.4",
]);

let built: FixtureFiles | undefined;

/** All files of `fixtureVersions`, as a new map (built once, the bytes are shared: do not change them). */
export function fixtureFiles(): FixtureFiles {
  built ??= buildModules(fixtureVersions);
  return new Map(built);
}

/** The files a GOPROXY with exactly these versions serves. Versions of one path are given in ascending order. */
export function buildModules(versions: readonly FixtureVersion[]): FixtureFiles {
  const files: FixtureFiles = new Map();
  for (const version of versions) addVersion(files, version);
  for (const path of new Set(versions.map((version) => version.path))) {
    const own = versions.filter((version) => version.path === path);
    const listed = own.filter((version) => version.listed ?? !isPseudo(version.version));
    files.set(`${escape(path)}/@v/list`, Buffer.from(listed.map((version) => `${version.version}\n`).join("")));
    const latest =
      own.findLast((version) => version.latest) ??
      listed.findLast((version) => !version.version.includes("-")) ??
      listed.at(-1) ??
      own.at(-1);
    if (latest !== undefined) files.set(`${escape(path)}/@latest`, Buffer.from(infoText(latest)));
  }
  return files;
}

/** A module zip with these entries (full names). Deterministic: no times, deflated. */
export function buildZip(entries: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(entries)) {
    const nameBytes = Buffer.from(name);
    const plain = Buffer.from(content);
    const packed = deflateRawSync(plain);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0); // version needed
    fields.writeUInt16LE(isAscii(name) ? 0 : 0x800, 2); // flags: UTF-8 name
    fields.writeUInt16LE(8, 4); // deflate; time and date stay 0
    fields.writeUInt32LE(crc32(plain), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(plain.length, 18);
    fields.writeUInt16LE(nameBytes.length, 22);
    const head = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), fields, nameBytes]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    local.push(head, packed);
    central.push(Buffer.from("PK\x01\x02\x14\x00", "latin1"), fields, tail, nameBytes);
    offset += head.length + packed.length;
  }
  const directory = Buffer.concat(central);
  const count = Object.keys(entries).length;
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, directory, end]);
}

/** The same bytes for the same length, and nothing that compresses. */
export function incompressible(length: number): Uint8Array {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(length));
}

function addVersion(files: FixtureFiles, version: FixtureVersion): void {
  const base = `${escape(version.path)}/@v/`;
  const root = `${version.path}@${version.version}/`;
  const goMod = version.goMod === undefined ? {} : { "go.mod": version.goMod };
  const entries = Object.entries({ ...goMod, ...version.files }).map(
    ([name, content]) => [root + name, content] as const,
  );
  files.set(`${base}${escape(version.version)}.info`, Buffer.from(infoText(version)));
  files.set(`${base}${escape(version.version)}.mod`, Buffer.from(version.goMod ?? `module ${version.path}\n`));
  files.set(`${base}${escape(version.version)}.zip`, buildZip(Object.fromEntries(entries)));
  for (const query of version.queries ?? []) files.set(`${base}${escape(query)}.info`, Buffer.from(infoText(version)));
}

function infoText(version: FixtureVersion): string {
  return version.info ?? JSON.stringify({ Version: version.version, Time: version.time ?? defaultTime });
}

function withGoMod(path: string, version: string, requires: readonly string[] = []): FixtureVersion {
  const goMod = `module ${path}\n\ngo 1.21\n${requires.map((line) => `\nrequire ${line}\n`).join("")}`;
  return { path, version, files: goFiles(packageName(path), requires.map(importPath)), goMod };
}

function goFiles(name: string, imports: readonly string[] = []): Record<string, string> {
  const lines = imports.map((path) => `import _ "${path}"\n`).join("");
  return {
    "doc.go": `// Package ${name} is a test fixture.\npackage ${name}\n\n${lines}`,
    LICENSE: "Public domain.\n",
  };
}

function consumer(requires: readonly string[]): Record<string, string> {
  const lines = requires.map((line) => `\t${line}\n`).join("");
  const imports = requires.map((line) => `import _ "${importPath(line)}"\n`).join("");
  return {
    "go.mod": `module example.org/consumer\n\ngo 1.21\n\nrequire (\n${lines})\n`,
    "main.go": `package main\n\n${imports}\nfunc main() {}\n`,
  };
}

function importPath(requirement: string): string {
  return requirement.slice(0, requirement.indexOf(" "));
}

function packageName(path: string): string {
  const name = path.replace(/\/v\d+$/, "").replace(/\.v\d+$/, "");
  // The suffix keeps `Case` from becoming a keyword.
  return `${name.slice(name.lastIndexOf("/") + 1).toLowerCase()}pkg`;
}

/** Go's escaping of paths and versions for case-insensitive file systems. */
function escape(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

function isPseudo(version: string): boolean {
  return /-(.*\.)?\d{14}-[0-9a-f]{12}(\+incompatible)?$/.test(version);
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
