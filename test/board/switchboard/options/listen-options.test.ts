import { expect, it } from "vitest";
import { checkAttachOptions, checkListenOptions } from "../../../../src/board/switchboard/options/listen-options.ts";
import type { ListenOptions } from "../../../../src/index.ts";
import { selfSigned } from "../../../support/certificate.ts";

it("fills in the default handshakeTimeoutMs of a route", () => {
  expect(checkAttachOptions({})).toEqual({ handshakeTimeoutMs: 10_000 });
});

it("compares origins in lower case, as browsers send them", () => {
  expect(checkAttachOptions({ origins: ["HTTPS://Example.COM"] }).origins).toEqual(["https://example.com"]);
});

it.each<{ name: string; options: Partial<ListenOptions> }>([
  { name: 'handshake: "shard"', options: { handshake: "shard" } },
  { name: 'accept: "shard"', options: { accept: "shard" } },
  { name: "tls", options: { tls: selfSigned() } },
])("listen: refuses a function as origins with $name, and names alternatives", ({ options }) => {
  const message = expect.stringMatching(
    /^listen: .*make origins a list, or check request.headers.origin in .*authorize$/,
  );
  expect(() => checkListenOptions({ port: 0, origins: () => true, ...options })).toThrow(
    expect.objectContaining({ code: "ERR_OPTION", message }),
  );
});

it("listen: does handshakes in the main thread for a function as origins", () => {
  expect(checkListenOptions({ port: 0, origins: () => true }).handshake).toBe("main");
  expect(checkListenOptions({ port: 0, origins: ["null"] }).handshake).toBe("any");
});

const calls = [
  { call: "attach", check: (actor: string, names?: readonly string[]) => checkAttachOptions({ actor }, names) },
  {
    call: "listen",
    check: (actor: string, names?: readonly string[]) => checkListenOptions({ port: 0, actor }, names),
  },
];

it.each(calls)("$call: refuses a name without an actor module, and lists the names", ({ call, check }) => {
  const takes = `${call}: actor takes a name of the option actors of Switchboard.start, which has`;
  const error = (message: string) => expect.objectContaining({ code: "ERR_OPTION", message });
  expect(() => check("metrics", ["admin", "chat"])).toThrow(error(`${takes} admin, chat, got "metrics"`));
  expect(() => check("constructor", ["admin"])).toThrow(error(`${takes} admin, got "constructor"`));
  expect(() => check("admin")).toThrow(error(`${takes} none, got "admin"`));
});

it("listen: tells the shards the name of the actor module", () => {
  const { route, shard } = checkListenOptions({ port: 0, actor: "admin" }, ["admin"]);
  expect({ route: route.actor, shard: shard?.route.actor }).toEqual({ route: "admin", shard: "admin" });
});
