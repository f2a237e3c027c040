import { describe, expect, it } from "vitest";
import { badAnswers } from "./cases/negotiation.ts";
import { ClientRole } from "./client-role.ts";
import { holdAllCases } from "./hold.ts";

const role = new ClientRole("a client");
holdAllCases(role);

describe(`a client: ${badAnswers.length} answers to its offer that no server may give`, () => {
  it.concurrent.each(badAnswers)("set up $setup: $answer", async ({ setup, answer }) => {
    const { websocket, answered } = await role.dial(setup, () => answer);
    const { socket } = await answered;
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("end", () => socket.end()).resume();
    await expect(websocket).rejects.toMatchObject({ code: "ERR_HANDSHAKE_EXTENSION" });
    await closed;
  });
});
