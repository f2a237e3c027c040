import { describe, expect, it } from "vitest";
import { projectFolder, run } from "../e2e/support/process.ts";
import { generate } from "./generate.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { fromHex, type Session, toHex } from "./session.ts";
import { judge, knownDifference } from "./verdict.ts";

/** Runs the fuzzer in a process of its own, where V8 counts the blocks of the sources themselves. */
async function fuzz(...args: string[]): Promise<string> {
  return (await run(process.execPath, ["test/fuzz/fuzz.ts", ...args], { cwd: projectFolder })).stdout;
}

describe("the fuzzer", () => {
  it("finds no session on which our codec and that of ws disagree", async () => {
    // Leaves out sessions in which ws is no reliable judge. `npm run fuzz` includes them.
    const said = await fuzz("--seconds", "10", "--without-context");
    expect(said).toMatch(/, 0 findings$/m);
    const [, kept] = /(\d+) kept/.exec(said) ?? [];
    // Without coverage the fuzzer would keep only the first session.
    expect(Number(kept)).toBeGreaterThan(20);
  }, 120_000);

  it("generates valid sessions", async () => {
    const random = new Random(1);
    for (let i = 0; i < 300; i++) {
      const { agrees, because, ours } = await judge(generate(random));
      expect({ agrees, because }).toEqual({ agrees: true, because: undefined });
      // The only violation is that of the bytes that follow every session, unless the peer closed before.
      expect(ours.events.at(-1)?.kind).toMatch(/^(violation|close)$/);
      expect(ours.events.slice(0, -1).every(({ kind }) => kind !== "violation")).toBe(true);
    }
  });

  it("generates the same sessions from the same seed", () => {
    const sessions = (seed: number) => {
      const random = new Random(seed);
      const first = generate(random);
      return Array.from({ length: 50 }, () => toHex(mutate(first, generate(random), random)));
    };
    expect(sessions(7)).toEqual(sessions(7));
    expect(sessions(7)).not.toEqual(sessions(8));
  });

  it("replays a session from its hex form", async () => {
    const session = generate(new Random(3));
    expect(fromHex(toHex(session))).toEqual(session);
    expect(await fuzz("--replay", toHex(session))).toContain(`--replay ${toHex(session)}`);
  });
});

/** Compressed messages in one context, each in one binary frame, masked with zeros. */
function messages(...payloads: string[]): Session {
  const frames = payloads.map((payload) => {
    const bytes = Buffer.from(payload, "hex");
    return Buffer.concat([Buffer.from([0xc2, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);
  });
  return { role: "server", agreement: "context", cuts: 0, bytes: Buffer.concat(frames) };
}

describe("the verdict", () => {
  const hello = "ca48cdc9c90700";

  it("is agreement on ordinary messages", async () => {
    const { agrees, because } = await judge(messages(hello, hello));
    expect({ agrees, because }).toEqual({ agrees: true, because: undefined });
  });

  it.each([
    { name: "a last block that the tail completes: ws loses the next message", payloads: ["01", hello] },
    { name: "the same with other bits before the tail", payloads: ["c1", hello] },
    { name: "a last block in the middle of the message", payloads: [`4b4c4a0600${hello}`, hello] },
  ])("knows how ws handles $name", async ({ payloads }) => {
    const { because, ours } = await judge(messages(...payloads));
    expect(because).toMatch(/^ws gives up a message's rest, and all context, at a final block/);
    expect(ours.events[1]).toMatchObject({ payload: Buffer.from("hello").toString("hex") });
  });

  it("recognises a stream that ends in the middle of a block, even if the bytes after it complete the block", async () => {
    expect((await judge(messages("cbb83361"))).because).toBe("ws takes a stream that ends in the middle of a block");
  });

  it("accepts no other difference", async () => {
    const session = messages(hello, hello);
    const { ours, theirs } = await judge(session);
    const emptied = theirs.events.with(1, { kind: "binary", payload: "" });
    expect(knownDifference(session, ours, { ...theirs, events: emptied })).toBeUndefined();
  });
});
