import { expect, it } from "vitest";
import { startBoard } from "./support/board.ts";
import { close, ping, text } from "./support/frames.ts";
import { RawClient } from "./support/raw-client.ts";

it("echoes", async () => {
  const { port } = await startBoard();
  const client = await RawClient.open({ port, head: text("early") });
  expect(await client.text()).toBe("early");
  client.write(ping("x"));
  expect(await client.frame()).toMatchObject({ opcode: 0xa });
  client.write(close(1000, "bye"));
  expect(await client.closeFrame()).toEqual({ code: 1000, reason: "bye" });
  await client.closed();
});
