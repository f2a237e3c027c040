import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";

/** From the top: a layer may import itself and what stands above it. */
const LAYERS = [
  ...["protocol", "handshake", "upgrade", "transport", "websocket", "actor", "bus"],
  ...["shard", "switchboard", "cluster", "metrics", "dashboard", "load", "cli"],
];

interface Import {
  readonly from: string;
  /** Gone when the program runs. */
  readonly typeOnly: boolean;
}

/** All imports of a module: static, dynamic, re-exports and import types. */
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
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.ts", source, ts.ScriptTarget.Latest));
  return imports;
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

/** The layer of a file under src/; undefined for the files beside the layers. */
function layerOf(path: string): string | undefined {
  const [top, layer, ...rest] = path.split("/");
  return top === "src" && rest.length > 0 ? layer : undefined;
}

/** What is wrong with one import between two of our own files. */
function checkRelative(file: string, target: string): string | undefined {
  if (file === "src/index.ts") return undefined;
  if (file === "src/errors.ts") return "src/errors.ts imports nothing";
  if (file.startsWith("workers/")) return target.startsWith("src/") ? undefined : "workers/ imports only src/";
  if (target === "src/errors.ts") return undefined;
  const [own, other] = [layerOf(file), layerOf(target)];
  // What operators run is built on what users get.
  if (own === "cli" && target === "src/index.ts") return undefined;
  if (own === undefined || !LAYERS.includes(own)) return `${own ?? file} is no layer`;
  if (other === undefined || !LAYERS.includes(other)) return "it is in no layer";
  if (own === "upgrade" && (other === "protocol" || other === "handshake")) return "upgrade knows nothing of WebSocket";
  if (own === "load" && !["load", "protocol", "handshake"].includes(other)) return "load measures any server, not ours";
  return LAYERS.indexOf(other) > LAYERS.indexOf(own) ? `${other} stands below ${own}` : undefined;
}

const IO = ["net", "tls", "http", "http2", "https", "dgram", "worker_threads", "timers", "timers/promises"];

/** What is wrong with the import of a Node module or a package. */
function checkExternal(file: string, { from, typeOnly }: Import): string | undefined {
  const layer = layerOf(file);
  const name = from.replace(/^node:/, "");
  if (file === "src/errors.ts") return "src/errors.ts imports nothing";
  if (file.startsWith("workers/")) return "workers/ imports only src/";
  if (layer === "protocol" && IO.includes(name)) return "protocol is bytes in, bytes out";
  if (layer === "handshake" && name === "http") return typeOnly ? undefined : "handshake imports only types of it";
  if (layer === "handshake" && IO.includes(name)) return "handshake knows no sockets";
  if (layer === "actor" && ["net", "tls", "http", "worker_threads"].includes(name)) return "actor knows no sockets";
  if (name === "net" && layer !== "transport" && layer !== "load" && !typeOnly) {
    return "only transport and load import it at run time";
  }
  return undefined;
}

const TIMERS = ["setTimeout", "setInterval", "setImmediate"];

/** Everything that a file does against the layers, each as one line. */
function violations(file: string, source: string): string[] {
  const found: string[] = [];
  for (const one of importsOf(source)) {
    const relative = one.from.startsWith(".");
    const target = relative ? normalize(join(dirname(file), one.from)) : one.from;
    const wrong = relative ? checkRelative(file, target) : checkExternal(file, one);
    if (wrong !== undefined) found.push(`${file} imports ${target}: ${wrong}`);
  }
  if (layerOf(file) === "protocol") {
    const identifiers = identifiersOf(source);
    for (const timer of TIMERS) if (identifiers.has(timer)) found.push(`${file} uses ${timer}: protocol has no timers`);
  }
  return found;
}

const root = new URL("..", import.meta.url).pathname;
const files = globSync("{src,workers}/**/*.{ts,js,mjs}", { cwd: root }).toSorted();

it("sees the files that it is about", () => {
  expect(files).toContain("src/protocol/frame.ts");
  expect(files).toContain("src/switchboard/switchboard.ts");
  expect(files).toContain("src/errors.ts");
  expect(files).toContain("workers/shard.ts");
});

it("finds no import against the layers", () => {
  const found = files.flatMap((file) => violations(file, readFileSync(join(root, file), "utf8")));
  expect(found.join("\n")).toBe("");
});

it.each([
  {
    file: "src/protocol/frame.ts",
    source: 'import { a } from "../handshake/server.ts";',
    wrong: "handshake stands below protocol",
  },
  { file: "src/actor/actor.ts", source: 'import type { Bus } from "../bus/bus.ts";', wrong: "bus stands below actor" },
  { file: "src/bus/bus.ts", source: 'export * from "../shard/shard.ts";', wrong: "shard stands below bus" },
  { file: "src/bus/bus.ts", source: 'const a = await import("../shard/shard.ts");', wrong: "shard stands below bus" },
  { file: "src/bus/bus.ts", source: 'let a: import("../shard/shard.ts").A;', wrong: "shard stands below bus" },
  { file: "src/bus/deep/bus.ts", source: 'import "../../cli/main.ts";', wrong: "cli stands below bus" },
  { file: "src/bus/bus.ts", source: 'import "../index.ts";', wrong: "it is in no layer" },
  { file: "src/cli/main.ts", source: 'import "../../test/x.ts";', wrong: "it is in no layer" },
  { file: "src/cli/main.ts", source: 'import "../misc/x.ts";', wrong: "it is in no layer" },
  {
    file: "src/load/client.ts",
    source: 'import "../websocket/connect.ts";',
    wrong: "load measures any server, not ours",
  },
  { file: "src/shard/shard.ts", source: 'import "../load/histogram.ts";', wrong: "load stands below shard" },
  { file: "src/misc/x.ts", source: 'import "../protocol/frame.ts";', wrong: "misc is no layer" },
  { file: "src/extra.ts", source: 'import "./protocol/frame.ts";', wrong: "src/extra.ts is no layer" },
  { file: "src/errors.ts", source: 'import "./protocol/frame.ts";', wrong: "src/errors.ts imports nothing" },
  { file: "src/errors.ts", source: 'import "node:util";', wrong: "src/errors.ts imports nothing" },
  { file: "workers/shard.ts", source: 'import "../test/support/board.ts";', wrong: "workers/ imports only src/" },
  { file: "workers/shard.ts", source: 'import "piscina";', wrong: "workers/ imports only src/" },
  {
    file: "src/upgrade/response.ts",
    source: 'import "../protocol/frame.ts";',
    wrong: "upgrade knows nothing of WebSocket",
  },
  {
    file: "src/upgrade/response.ts",
    source: 'import "../handshake/server.ts";',
    wrong: "upgrade knows nothing of WebSocket",
  },
  {
    file: "src/protocol/frame.ts",
    source: 'import type { Socket } from "node:net";',
    wrong: "protocol is bytes in, bytes out",
  },
  { file: "src/protocol/frame.ts", source: 'import "timers";', wrong: "protocol is bytes in, bytes out" },
  {
    file: "src/protocol/frame.ts",
    source: "globalThis.setTimeout(a, 1);",
    wrong: "uses setTimeout: protocol has no timers",
  },
  { file: "src/protocol/frame.ts", source: "setImmediate(a);", wrong: "uses setImmediate: protocol has no timers" },
  { file: "src/handshake/server.ts", source: 'import { createServer } from "node:http";', wrong: "only types" },
  {
    file: "src/handshake/server.ts",
    source: 'import type { Socket } from "node:net";',
    wrong: "handshake knows no sockets",
  },
  {
    file: "src/actor/actor.ts",
    source: 'import type { MessagePort } from "node:worker_threads";',
    wrong: "actor knows no sockets",
  },
  {
    file: "src/switchboard/acceptor.ts",
    source: 'import { Socket } from "node:net";',
    wrong: "only transport and load import it",
  },
  {
    file: "src/switchboard/acceptor.ts",
    source: 'import { type Socket } from "node:net";',
    wrong: "only transport and load import it",
  },
])("finds that in $file `$source` is wrong", ({ file, source, wrong }) => {
  const found = violations(file, source);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(file);
  expect(found[0]).toContain(wrong);
});

it.each([
  { file: "src/shard/shard.ts", source: 'import { Bus } from "../bus/bus.ts"; import "./connection.ts";' },
  { file: "src/protocol/frame.ts", source: 'import { SwitchboardError } from "../errors.ts";' },
  { file: "src/index.ts", source: 'export { a } from "./cli/main.ts"; export { b } from "./errors.ts";' },
  { file: "src/cli/main.ts", source: 'import { Switchboard } from "../index.ts";' },
  { file: "workers/shard.ts", source: 'import { runShard } from "../src/shard/shard.ts";' },
  { file: "src/handshake/server.ts", source: 'import type { IncomingHttpHeaders } from "node:http";' },
  { file: "src/transport/handoff.ts", source: 'import { Socket } from "node:net";' },
  { file: "src/load/client.ts", source: 'import { connect } from "node:net"; import "../handshake/client.ts";' },
  { file: "src/cli/bench.ts", source: 'import { runLoadTest } from "../load/run.ts";' },
  { file: "workers/load.ts", source: 'import { runLoad } from "../src/load/thread.ts";' },
  { file: "src/switchboard/acceptor.ts", source: 'import type { Socket } from "node:net";' },
  { file: "src/protocol/frame.ts", source: '// import "node:net"; setTimeout\nconst a = "setTimeout";' },
])("finds nothing wrong in $file with `$source`", ({ file, source }) => {
  expect(violations(file, source)).toEqual([]);
});
