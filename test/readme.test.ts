import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createMetrics } from "../src/board/metrics/index.ts";
import { checkConnectionsOptions } from "../src/board/switchboard/listing.ts";
import { checkCloseOnSignalsOptions, checkCloseOptions } from "../src/board/switchboard/options/close-options.ts";
import { checkAttachOptions, checkListenOptions } from "../src/board/switchboard/options/listen-options.ts";
import { checkReloadOptions } from "../src/board/switchboard/options/reload-options.ts";
import { checkStartOptions } from "../src/board/switchboard/options/start-options.ts";
import { BENCH_HELP } from "../src/cli/bench-flags.ts";
import { ERROR_KINDS } from "../src/errors.ts";
import { Actor } from "../src/runtime/actor/actor.ts";
import { DEFAULT_COMPRESSION } from "../src/wire/protocol/deflate/compression.ts";
import { checkConnectOptions } from "../src/wire/websocket/connect-options.ts";
import { codeBlocks, GUIDES, namesIn, READMES, readReadme, tableAfter } from "./support/readme.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** GitHub's anchor for a heading. */
function anchorsOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```.*?^```$/gms, "");
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Broken links of one README, one line each. */
function brokenLinks(readme: string): string[] {
  const links = [...readReadme(readme).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links
    .filter((link) => !/^https?:/.test(link))
    .filter((link) => {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? readme : join(dirname(readme), path);
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !(target.endsWith(".md") && anchorsOf(readReadme(target)).includes(anchor));
    });
}

/** The options that a check knows. Its error for an unknown option lists them. */
function optionsOf(checkOptions: (options: never) => unknown): string[] {
  try {
    checkOptions({ noSuchOption: true } as never);
  } catch (error) {
    const [, list = ""] = /unknown option "noSuchOption"; the options are (.+)$/.exec((error as Error).message) ?? [];
    return list.split(", ");
  }
  throw new Error("it takes an option that nobody can know");
}

describe.each(READMES)("%s", (readme) => {
  it("has no broken links", () => {
    expect(brokenLinks(readme)).toEqual([]);
  });

  it("doesn't pad the cells of its tables", () => {
    const padded = /^\|.*(?: {2,}\||\| {2,})/m.exec(readReadme(readme).replaceAll(/^```.*?^```$/gms, ""));
    expect(padded?.[0]).toBeUndefined();
  });

  it("has no JavaScript except examples that run as tests, or that lead to one", () => {
    if (GUIDES.includes(readme)) return;
    const nameless = codeBlocks(readReadme(readme)).filter(({ language, file }) => /^[jt]s$/.test(language) && !file);
    if (nameless.length > 0) expect(readReadme(readme)).toMatch(/test\/examples\/\w+\.ts/);
  });
});

const OPTIONS = "src/board/switchboard/OPTIONS.md";

/** Text of one section of a page, without its heading. */
function sectionOf(page: string, heading: string): string {
  const [, section] = readReadme(page).split(`\n## ${heading}\n`);
  if (section === undefined) throw new Error(`${page} has no section ${heading}`);
  return section.split(/^## /m)[0] as string;
}

/** Options in the tables of one section. */
function optionsIn(page: string, heading: string): string[] {
  return [...sectionOf(page, heading).matchAll(/^\| `(\w+)` \|/gm)].map(([, name = ""]) => name);
}

it.each([
  { heading: "Switchboard.start", check: checkStartOptions, also: [] },
  { heading: "attach, handleUpgrade", check: checkAttachOptions, also: [] },
  { heading: "listen", check: checkListenOptions, also: ["attach, handleUpgrade"] },
  { heading: "close", check: checkCloseOptions, also: [] },
  { heading: "reload", check: (options: object) => checkReloadOptions(options, new Map()), also: [] },
  { heading: "closeOnSignals", check: checkCloseOnSignalsOptions, also: ["close"] },
  { heading: "connections", check: checkConnectionsOptions, also: [] },
])("lists every option of $heading, one row each", ({ heading, check, also }) => {
  const listed = [heading, ...also].flatMap((one) => optionsIn(OPTIONS, one));
  expect(listed.toSorted()).toEqual(optionsOf(check).toSorted());
});

it("lists every option of connect", () => {
  const listed = namesIn(tableAfter(readReadme("src/wire/websocket/README.md"), "Options of `upgradeConnection`"));
  expect(listed.toSorted()).toEqual([...optionsOf(checkConnectOptions), "origins"].toSorted());
});

it("lists every event", () => {
  const source = readFileSync(join(root, "src/board/switchboard/events.ts"), "utf8");
  const [, members = ""] = /export interface SwitchboardEvents \{\n(.*?)^\}/ms.exec(source) ?? [];
  const events = [...members.matchAll(/^ {2}(\w+): \[/gm)].map(([, name = ""]) => name);
  const listed = [...readReadme("src/board/switchboard/EVENTS.md").matchAll(/^\| `(\w+)` \|/gm)];
  expect(events.length).toBeGreaterThan(0);
  expect(listed.map(([, name = ""]) => name).toSorted()).toEqual(events.toSorted());
});

it("has a main README of at most 150 lines", () => {
  expect(readReadme("README.md").trimEnd().split("\n").length).toBeLessThanOrEqual(150);
});

it("lists all members of an actor", () => {
  const listed = tableAfter(readReadme("src/runtime/actor/API.md"), "## Handlers and members").map(
    ([first = ""]) => first,
  );
  const named = new Set(
    [...listed.join().matchAll(/`(?:await )?(?:this\.|static )?(\w+)/g)].map(([, name = ""]) => name),
  );
  const own = [...Object.getOwnPropertyNames(Actor.prototype), ...Object.keys(Actor)];
  expect([...named].toSorted()).toEqual(own.filter((name) => name !== "constructor").toSorted());
});

it("lists the options of compression", () => {
  const listed = namesIn(tableAfter(readReadme("src/wire/protocol/README.md"), "## Compression"));
  expect(listed.toSorted()).toEqual(Object.keys(DEFAULT_COMPRESSION).toSorted());
});

it("lists every metric", () => {
  const readme = readReadme("src/board/metrics/README.md");
  const listed = namesIn([...tableAfter(readme, "Each has the label"), ...tableAfter(readme, "of the whole board")]);
  const { registry } = createMetrics({ stats: () => ({ shards: [] }) as never });
  expect(listed.toSorted()).toEqual(
    registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .toSorted(),
  );
});

it("lists every flag of the load generator", () => {
  const listed = namesIn(tableAfter(readReadme("src/load/README.md"), "# A load for any WebSocket server"));
  const flags = [...BENCH_HELP.matchAll(/^ {2}(--[a-z]+)/gm)].map(([, flag = ""]) => flag);
  expect(listed.toSorted()).toEqual(flags.toSorted());
});

it("explains every error code, under its kind", () => {
  const sections = readReadme("src/ERRORS.md").split(/^## Kind `(\w+)`.*$/m);
  const listed: Record<string, string> = {};
  for (let at = 1; at < sections.length; at += 2) {
    const [kind = "", section = ""] = sections.slice(at);
    for (const [, code = ""] of section.matchAll(/`(ERR_\w+)`(?=[^|\n]*\|)/g)) listed[code] ??= kind;
  }
  expect(listed).toEqual(ERROR_KINDS);
});
