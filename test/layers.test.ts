import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";
import { builtins } from "../src/wire/node-internals/builtins.ts";

/**
 * The layers, from the top. A layer is a folder with everything below it. It may import itself and the layers above it.
 */
const LAYERS = [
  "wire/node-internals",
  "wire/native",
  "wire/protocol",
  "wire/handshake",
  "wire/upgrade",
  "wire/transport",
  "wire/passing",
  "wire/websocket",
  "runtime/scheduling",
  "runtime/stats",
  "runtime/streams",
  "runtime/actor",
  "runtime/mail",
  "runtime/bus",
  "runtime/engine",
  "runtime/feeds",
  "board/connection",
  "board/accept",
  "board/shard",
  "board/takeover",
  "board/switchboard",
  "board/metrics",
  "engines/redis",
  "server/protocol",
  "server/channels",
  "server/config",
  "server/auth",
  "server/client",
  "server/centrifuge",
  "server/hooks",
  "server/emulation",
  "server/api",
  "server/serve",
  "load",
  "cli",
];

/** The folders that the load generator may import: it must measure any server. */
const KNOWN_TO_LOAD = ["load", "wire/node-internals", "wire/protocol", "wire/handshake"];

const KNOWN_TO_PROTOCOL = ["zlib", "builtins"].map((name) => `src/wire/node-internals/${name}.ts`);

/** The modules of Node that a thread shall load only when it needs them. */
const LAZY = Object.keys(builtins);

/** The files of the shards that the main thread may import: those about messages between threads. */
const CROSSES_THREADS = ["messages", "moving/messages", "queries", "shutdown"].map(
  (name) => `src/board/shard/${name}.ts`,
);

/** Largest number of files in a folder. */
const MAX_FILES_IN_FOLDER = 16;

interface Import {
  readonly from: string;
  /** Imports that are erased when the program runs. */
  readonly typeOnly: boolean;
  /** Loaded by its first use. */
  readonly lazy?: boolean;
}

/**
 * All imports of a module: static, dynamic, re-exports, import types, uses of `builtins`, and `node:ffi` loaded by a
 * call.
 */
function importsOf(source: string): Import[] {
  const imports: Import[] = [];
  const add = (from: ts.Node | undefined, typeOnly: boolean): void => {
    if (from !== undefined && ts.isStringLiteralLike(from)) imports.push({ from: from.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    } else if (ts.isCallExpression(node) && loadsFfi(node)) {
      add(node.arguments[0], false);
    } else if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      if (node.expression.text === "builtins")
        imports.push({ from: `node:${node.name.text}`, typeOnly: false, lazy: true });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.ts", source, ts.ScriptTarget.Latest));
  return imports;
}

/** True for a call such as `process.getBuiltinModule("node:ffi")`. Other modules may be loaded so. */
function loadsFfi({ arguments: [name] }: ts.CallExpression): boolean {
  return name !== undefined && ts.isStringLiteralLike(name) && /^(node:)?ffi$/.test(name.text);
}

function identifiersOf(source: string): Set<string> {
  const identifiers = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) identifiers.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.ts", source, ts.ScriptTarget.Latest));
  return identifiers;
}

/** The layer of a file under src/; undefined for files beside the layers. */
function layerOf(path: string): string | undefined {
  return LAYERS.find((layer) => path.startsWith(`src/${layer}/`));
}

/** The fault of one import between two of our own files; undefined if there is none. */
function checkRelative(file: string, target: string): string | undefined {
  if (file === "src/index.ts") return undefined;
  if (file === "src/errors.ts") return "src/errors.ts imports nothing";
  if (file.startsWith("workers/")) return target.startsWith("src/") ? undefined : "workers/ imports only src/";
  if (target === "src/errors.ts") return undefined;
  const [own, other] = [layerOf(file), layerOf(target)];
  // The operators' side is built on the users' side.
  if (own === "cli" && target === "src/index.ts") return undefined;
  if (own === undefined) return `${file} is in no layer`;
  if (other === undefined) return "it is in no layer";
  if (own === "wire/protocol" && other === "wire/node-internals" && !KNOWN_TO_PROTOCOL.includes(target)) {
    return "protocol is bytes in, bytes out";
  }
  if (own === "wire/upgrade" && other !== own && other !== "wire/node-internals")
    return "upgrade knows nothing of WebSocket";
  if (own === "load" && !KNOWN_TO_LOAD.includes(other)) return "load measures any server, not ours";
  if (own === "board/switchboard" && other === "board/shard" && !CROSSES_THREADS.includes(target)) {
    return "the main thread knows of a shard only what crosses threads";
  }
  return LAYERS.indexOf(other) > LAYERS.indexOf(own) ? `${other} stands below ${own}` : undefined;
}

/** The layers that create sockets and servers of Node. */
const USES_SOCKETS = ["wire/transport", "wire/passing", "load"];

const IO = ["net", "tls", "http", "http2", "https", "dgram", "worker_threads", "timers", "timers/promises"];

/** The fault of one import of a Node module or a package; undefined if there is none. */
function checkExternal(file: string, { from, typeOnly, lazy }: Import): string | undefined {
  const layer = layerOf(file);
  const name = from.replace(/^node:/, "");
  if (file === "src/errors.ts") return "src/errors.ts imports nothing";
  if (file.startsWith("workers/")) return "workers/ imports only src/";
  if (layer === "wire/node-internals" && IO.includes(name)) {
    return typeOnly ? undefined : "node-internals imports only types of it";
  }
  if (name === "ffi") return file === "src/wire/native/libc.ts" ? undefined : "only wire/native/libc.ts may";
  if (layer === "wire/native" && ["net", "tls", "http"].includes(name)) return "native knows no sockets of Node";
  if (layer === "wire/protocol" && IO.includes(name)) return "protocol is bytes in, bytes out";
  if (layer === "wire/handshake" && name === "http") return typeOnly ? undefined : "handshake imports only types of it";
  if (layer === "wire/handshake" && IO.includes(name)) return "handshake knows no sockets";
  if (layer === "runtime/actor" && ["net", "tls", "http", "worker_threads"].includes(name)) {
    return "actor knows no sockets";
  }
  if (LAZY.includes(name) && !typeOnly && !lazy && layer !== "cli") {
    return "take it from wire/node-internals/builtins.ts, which loads it when it is needed";
  }
  if (name === "net" && !USES_SOCKETS.includes(layer ?? "") && !typeOnly) {
    return "only passing, transport and load import it at run time";
  }
  return undefined;
}

/** The fields of other objects that a module uses by a private name, such as `socket._handle`. */
function privateFieldsIn(source: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const name = ts.isPropertyAccessExpression(node)
      ? node.name
      : ts.isPropertyAssignment(node) || ts.isPropertySignature(node) || ts.isPropertyDeclaration(node)
        ? node.name
        : ts.isBindingElement(node)
          ? (node.propertyName ?? node.name)
          : undefined;
    if (name !== undefined && ts.isIdentifier(name) && name.text.startsWith("_")) found.push(name.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.ts", source, ts.ScriptTarget.Latest));
  return found;
}

const TIMERS = ["setTimeout", "setInterval", "setImmediate"];

/** All faults in the imports of a file, one line each. */
function violations(file: string, source: string): string[] {
  const found: string[] = [];
  for (const one of importsOf(source)) {
    const relative = one.from.startsWith(".");
    const target = relative ? normalize(join(dirname(file), one.from)) : one.from;
    const wrong = relative ? checkRelative(file, target) : checkExternal(file, one);
    if (wrong !== undefined) found.push(`${file} imports ${target}: ${wrong}`);
  }
  if (layerOf(file) === "wire/protocol") {
    const identifiers = identifiersOf(source);
    for (const timer of TIMERS) if (identifiers.has(timer)) found.push(`${file} uses ${timer}: protocol has no timers`);
  }
  if (layerOf(file) !== "wire/node-internals") {
    for (const name of privateFieldsIn(source)) found.push(`${file} uses ${name}: only wire/node-internals may`);
  }
  return found;
}

const root = new URL("..", import.meta.url).pathname;
const files = globSync("{src,workers}/**/*.{ts,js,mjs}", { cwd: root }).toSorted();

it("finds the source files", () => {
  expect(files).toContain("src/wire/protocol/frame.ts");
  expect(files).toContain("src/board/switchboard/switchboard.ts");
  expect(files).toContain("src/errors.ts");
  expect(files).toContain("workers/shard.ts");
});

it("finds no import against the layers", () => {
  const found = files.flatMap((file) => violations(file, readFileSync(join(root, file), "utf8")));
  expect(found.join("\n")).toBe("");
});

/** The first circle in the imports of these modules; undefined if there is none. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of imports.get(file) ?? []) {
      const circle = walk(next, [...path, file]);
      if (circle !== undefined) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const circle = walk(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

it("finds no circle of imports between files, imports of types included", () => {
  const imports = files.map((file) => {
    const relative = importsOf(readFileSync(join(root, file), "utf8")).filter(({ from }) => from.startsWith("."));
    return [file, relative.map(({ from }) => normalize(join(dirname(file), from)))] as const;
  });
  expect(circleIn(new Map(imports))).toBeUndefined();
});

it("finds a circle where there is one", () => {
  const imports = new Map([
    ["a.ts", ["b.ts"]],
    ["b.ts", ["c.ts"]],
    ["c.ts", ["b.ts"]],
  ]);
  expect(circleIn(imports)).toEqual(["b.ts", "c.ts", "b.ts"]);
});

it("finds no folder with too many files", () => {
  const counts = Map.groupBy(files, dirname);
  const crowded = [...counts].filter(([, inside]) => inside.length > MAX_FILES_IN_FOLDER);
  expect(crowded.map(([folder, { length }]) => `${folder}: ${length}`)).toEqual([]);
});

it.each([
  {
    file: "src/wire/protocol/frame.ts",
    source: 'import { a } from "../handshake/server.ts";',
    wrong: "wire/handshake stands below wire/protocol",
  },
  {
    file: "src/runtime/actor/actor.ts",
    source: 'import type { Bus } from "../bus/bus.ts";',
    wrong: "runtime/bus stands below runtime/actor",
  },
  {
    file: "src/runtime/bus/bus.ts",
    source: 'export * from "../../board/shard/shard.ts";',
    wrong: "board/shard stands below runtime/bus",
  },
  {
    file: "src/runtime/bus/bus.ts",
    source: 'const a = await import("../../board/shard/shard.ts");',
    wrong: "board/shard stands below runtime/bus",
  },
  {
    file: "src/runtime/bus/bus.ts",
    source: 'let a: import("../../board/shard/shard.ts").A;',
    wrong: "board/shard stands below runtime/bus",
  },
  {
    file: "src/runtime/bus/deep/bus.ts",
    source: 'import "../../../cli/main.ts";',
    wrong: "cli stands below runtime/bus",
  },
  { file: "src/runtime/bus/bus.ts", source: 'import "../../index.ts";', wrong: "it is in no layer" },
  { file: "src/cli/main.ts", source: 'import "../../test/x.ts";', wrong: "it is in no layer" },
  { file: "src/cli/main.ts", source: 'import "../misc/x.ts";', wrong: "it is in no layer" },
  {
    file: "src/load/client.ts",
    source: 'import "../wire/websocket/connect.ts";',
    wrong: "load measures any server, not ours",
  },
  {
    file: "src/board/shard/shard.ts",
    source: 'import "../../load/histogram.ts";',
    wrong: "load stands below board/shard",
  },
  { file: "src/misc/x.ts", source: 'import "../wire/protocol/frame.ts";', wrong: "src/misc/x.ts is in no layer" },
  { file: "src/extra.ts", source: 'import "./wire/protocol/frame.ts";', wrong: "src/extra.ts is in no layer" },
  { file: "src/errors.ts", source: 'import "./wire/protocol/frame.ts";', wrong: "src/errors.ts imports nothing" },
  { file: "src/errors.ts", source: 'import "node:util";', wrong: "src/errors.ts imports nothing" },
  { file: "workers/shard.ts", source: 'import "./support/board.ts";', wrong: "workers/ imports only src/" },
  {
    file: "src/board/switchboard/switchboard.ts",
    source: 'import { Shard } from "../shard/shard.ts";',
    wrong: "only what crosses threads",
  },
  { file: "workers/shard.ts", source: 'import "piscina";', wrong: "workers/ imports only src/" },
  {
    file: "src/wire/upgrade/response.ts",
    source: 'import "../protocol/frame.ts";',
    wrong: "upgrade knows nothing of WebSocket",
  },
  {
    file: "src/wire/upgrade/response.ts",
    source: 'import "../handshake/server.ts";',
    wrong: "upgrade knows nothing of WebSocket",
  },
  {
    file: "src/wire/protocol/frame.ts",
    source: 'import type { Socket } from "node:net";',
    wrong: "protocol is bytes in, bytes out",
  },
  { file: "src/wire/protocol/frame.ts", source: 'import "timers";', wrong: "protocol is bytes in, bytes out" },
  {
    file: "src/wire/protocol/frame.ts",
    source: "globalThis.setTimeout(a, 1);",
    wrong: "uses setTimeout: protocol has no timers",
  },
  {
    file: "src/wire/protocol/frame.ts",
    source: "setImmediate(a);",
    wrong: "uses setImmediate: protocol has no timers",
  },
  { file: "src/wire/handshake/server.ts", source: 'import { createServer } from "node:http";', wrong: "only types" },
  { file: "src/board/accept/route.ts", source: 'import { type Server } from "node:http";', wrong: "builtins.ts" },
  { file: "src/runtime/mail/mail.ts", source: 'import { randomBytes } from "node:crypto";', wrong: "builtins.ts" },
  { file: "src/wire/protocol/frame.ts", source: "builtins.http.request();", wrong: "protocol is bytes in, bytes out" },
  {
    file: "src/wire/handshake/server.ts",
    source: 'import type { Socket } from "node:net";',
    wrong: "handshake knows no sockets",
  },
  {
    file: "src/runtime/actor/actor.ts",
    source: 'import type { MessagePort } from "node:worker_threads";',
    wrong: "actor knows no sockets",
  },
  {
    file: "src/wire/protocol/frame.ts",
    source: 'import type { TcpHandle } from "../node-internals/net.ts";',
    wrong: "protocol is bytes in, bytes out",
  },
  {
    file: "src/wire/node-internals/net.ts",
    source: 'import { Socket } from "node:net";',
    wrong: "only types",
  },
  {
    file: "src/wire/node-internals/net.ts",
    source: 'import "../protocol/frame.ts";',
    wrong: "wire/protocol stands below wire/node-internals",
  },
  {
    file: "src/wire/transport/handoff.ts",
    source: 'const ffi = process.getBuiltinModule("node:ffi");',
    wrong: "only wire/native/libc.ts may",
  },
  {
    file: "src/wire/native/ring.ts",
    source: 'import type { DynamicLibrary } from "node:ffi";',
    wrong: "only wire/native/libc.ts may",
  },
  { file: "src/load/client.ts", source: "socket._write(bytes);", wrong: "uses _write: only wire/node-internals may" },
  { file: "src/load/client.ts", source: "const { _handle } = socket;", wrong: "uses _handle" },
  { file: "src/load/client.ts", source: "const { _handle: handle } = socket;", wrong: "uses _handle" },
  { file: "src/load/client.ts", source: "const owner = { _handle: handle };", wrong: "uses _handle" },
  { file: "src/load/client.ts", source: "interface Owner { _handle: object }", wrong: "uses _handle" },
  {
    file: "src/board/accept/acceptor.ts",
    source: 'import { Socket } from "node:net";',
    wrong: "only passing, transport and load import it",
  },
  {
    file: "src/board/accept/acceptor.ts",
    source: 'import { type Socket } from "node:net";',
    wrong: "only passing, transport and load import it",
  },
])("finds a fault in `$source` in $file", ({ file, source, wrong }) => {
  const found = violations(file, source);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(file);
  expect(found[0]).toContain(wrong);
});

it.each([
  {
    file: "src/board/shard/shard.ts",
    source: 'import { Bus } from "../../runtime/bus/bus.ts"; import "./queries.ts";',
  },
  { file: "src/wire/protocol/frame.ts", source: 'import { SwitchboardError } from "../../errors.ts";' },
  { file: "src/wire/protocol/frame.ts", source: 'import { inflateInto } from "../node-internals/zlib.ts";' },
  { file: "src/wire/protocol/frame.ts", source: 'import { builtins } from "../node-internals/builtins.ts";' },
  { file: "src/wire/protocol/frame.ts", source: "builtins.crypto.randomFillSync(pool);" },
  { file: "src/cli/main.ts", source: 'import { parseArgs } from "node:util";' },
  { file: "src/wire/upgrade/response.ts", source: 'import { responseOn } from "../node-internals/http.ts";' },
  { file: "src/wire/node-internals/net.ts", source: 'import type { Socket } from "node:net"; socket._handle;' },
  { file: "src/wire/upgrade/upgraded.ts", source: "class A extends Duplex { _read() {} f(_unused) { this.#a = 1; } }" },
  { file: "src/wire/native/libc.ts", source: 'process.getBuiltinModule("node:ffi");' },
  { file: "src/index.ts", source: 'export { a } from "./cli/main.ts"; export { b } from "./errors.ts";' },
  { file: "src/cli/main.ts", source: 'import { Switchboard } from "../index.ts";' },
  { file: "workers/shard.ts", source: 'import { runShard } from "../src/board/shard/run-shard.ts";' },
  { file: "src/wire/handshake/server.ts", source: 'import type { IncomingHttpHeaders } from "node:http";' },
  { file: "src/wire/transport/handoff.ts", source: 'import { Socket } from "node:net";' },
  { file: "src/load/client.ts", source: 'import { connect } from "node:net"; import "../wire/handshake/client.ts";' },
  { file: "src/cli/bench.ts", source: 'import { runLoadTest } from "../load/run.ts";' },
  { file: "workers/load.ts", source: 'import { runLoad } from "../src/load/thread.ts";' },
  { file: "src/board/accept/acceptor.ts", source: 'import type { Socket } from "node:net";' },
  { file: "src/wire/protocol/frame.ts", source: '// import "node:net"; setTimeout\nconst a = "setTimeout";' },
])("finds no fault in `$source` in $file", ({ file, source }) => {
  expect(violations(file, source)).toEqual([]);
});
