import { join } from "node:path";
import { expect, it } from "vitest";
import { projectFolder, run } from "../e2e/support/process.ts";

/** The output of an example that ends by itself. Fails if it prints an error or leaves something open. */
async function linesOf(example: string): Promise<string[]> {
  const { stdout, stderr } = await run(process.execPath, [join(projectFolder, "test/examples", example)]);
  expect(stderr).toBe("");
  return stdout.trim().split("\n");
}

it("foobar.ts switches to its own protocol, talks both ways, and ends", async () => {
  const lines = await linesOf("foobar.ts");
  expect(lines.filter((line) => line.startsWith("client"))).toEqual([
    "client got: 101 foobar",
    "client heard: foobar speaks",
    "client heard: 5",
    "client heard: 22",
    "client got: 400 only foobar is spoken here",
  ]);
  expect(lines.filter((line) => line.startsWith("server"))).toEqual([
    "server heard: hello",
    "server heard: how long is this line?",
  ]);
});

it("tunnel.ts carries TCP through its own proxy, which refuses hosts that it doesn't know or can't reach", async () => {
  expect(await linesOf("tunnel.ts")).toEqual([
    "tunnel: 200",
    "answer: IS ANYBODY THERE?",
    "127.0.0.1:1: the upgrade was answered with 502",
    "secret.example:443: the upgrade was answered with 403",
  ]);
});
