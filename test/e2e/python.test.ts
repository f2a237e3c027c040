import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { startBoard } from "../support/board.ts";
import { run } from "./support/process.ts";
import { isMissing, succeeds } from "./support/programs.ts";

const PYTHON = "/usr/bin/python3";
const script = fileURLToPath(new URL("./python-client.py", import.meta.url));
const missing = isMissing(
  "python3-websockets",
  succeeds(PYTHON, "-c", "import websockets"),
  "apt-get install python3-websockets",
);

describe.skipIf(missing)("the client of python3-websockets", () => {
  it("exchanges text, bytes, fragments and pings, and closes with a code of its own", async () => {
    const { port } = await startBoard();
    const { stdout } = await run(PYTHON, [script, "echo", `ws://127.0.0.1:${port}/`]);
    expect(JSON.parse(stdout)).toEqual({
      text: "aß水🎈",
      bytes: 1024 * 1024,
      fragments: "in three pieces",
      pinged: true,
      extensions: [],
      close: [4001, "enough"],
    });
  });

  it("exchanges the same messages compressed, with and without context takeover", async () => {
    for (const contextTakeover of [true, false]) {
      const { port } = await startBoard({ compression: { threshold: 0, contextTakeover } });
      const { stdout } = await run(PYTHON, [script, "echo", `ws://127.0.0.1:${port}/`]);
      expect(JSON.parse(stdout)).toMatchObject({
        text: "aß水🎈",
        bytes: 1024 * 1024,
        fragments: "in three pieces",
        extensions: ["permessage-deflate"],
      });
    }
  });

  it("gets the code and the reason that the actor closes with", async () => {
    const { port } = await startBoard({ actor: "scripted" });
    const { stdout } = await run(PYTHON, [script, "closed", `ws://127.0.0.1:${port}/`]);
    expect(JSON.parse(stdout)).toEqual({ close: [4002, "because"] });
  });
});
