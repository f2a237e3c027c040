/** Calls whose hash slot moves, with servers that the test plays: real ones tell each other of a move too soon. */
import { expect, it, onTestFinished } from "vitest";
import { failureOf } from "../../../src/engines/redis/failures.ts";
import type { CallOptions } from "../../../src/engines/redis/link/calls.ts";
import type { Link } from "../../../src/engines/redis/link/link.ts";
import { Redirects } from "../../../src/engines/redis/link/redirects.ts";
import { createScripts } from "../../../src/engines/redis/scripts/scripts.ts";

type Answer = (asking: boolean) => string;

/** Runs calls for servers by name, of which the map of slots names the first one, whatever they answer. */
function redirectsOf(servers: Readonly<Record<string, Answer>>) {
  const ran: string[] = [];
  const links = Object.entries(servers).map(([name, answer]) => {
    const run = async (_script: unknown, _keys: unknown, [text]: readonly string[], options: CallOptions) => {
      const reply = answer(options.isAsking === true);
      if (reply !== "OK") throw failureOf(new Error(reply));
      ran.push(`${text} at ${name}`);
      return reply;
    };
    return [name, { calls: { run } } as unknown as Link] as const;
  });
  const redirects = new Redirects({
    of: () => links[0]?.[1],
    named: (name) => new Map(links).get(name),
    timeoutMs: 60_000,
  });
  onTestFinished(() => redirects.stop());
  return { run: (text: string) => redirects.run(createScripts(true).publish, ["key"], [text]), ran };
}

it("follows MOVED while the map still names the old server, in order", async () => {
  const { run, ran } = redirectsOf({ "old:1": () => "MOVED 7 new:2", "new:2": () => "OK" });
  await Promise.all(["a", "b", "c"].map(run));
  expect(ran).toEqual(["a at new:2", "b at new:2", "c at new:2"]);
});

it("says ASKING to the server that ASK names, and not to the one that MOVED names", async () => {
  const { run, ran } = redirectsOf({
    "old:1": () => "ASK 7 new:2",
    "new:2": (isAsking) => (isAsking ? "MOVED 7 other:3" : "MOVED 7 old:1"),
    "other:3": (isAsking) => (isAsking ? "MOVED 7 old:1" : "OK"),
  });
  await run("a");
  expect(ran).toEqual(["a at other:3"]);
});

it("goes by the map when it knows no server of the name in MOVED", async () => {
  let answers = 0;
  const { run, ran } = redirectsOf({ "old:1": () => (++answers < 3 ? "MOVED 7 :2" : "OK") });
  await run("a");
  expect(ran).toEqual(["a at old:1"]);
});
