/** State of the main program in takeovers between real processes. */
import { describe, expect, it } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { allAnswered, expectAllRight, openClients } from "./counted-clients.ts";
import type { ServerOptions } from "./programs/server.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";

const IDS = { give: "ids", take: "ids" } as const;
/** More than `fails: "suspend"` of the program waits for. */
const CLIENTS = 15;

/** Starts a server with clients. */
async function startServer(program: ServerOptions["program"]) {
  const start = { actor: "counting", takeover: takeoverPath(), shards: 1, warmUp: false };
  const run = (next: ServerOptions["program"], fails?: "suspend"): ServerProcess =>
    new ServerProcess({ start, listen: [{}], ...(next && { program: next }), ...(fails && { fails }) });
  const first = run(program);
  const { ports } = await first.tells("listening");
  const clients = await openClients(CLIENTS, { port: ports[0] as number });
  return { first, run, clients };
}

describe.skipIf(whyNoPassing() !== undefined)("state of the main program", () => {
  it("goes from process to process, before anybody is served there", async () => {
    const { first, run, clients } = await startServer(IDS);
    const chain = [first];
    while (chain.length < 3) {
      const next = run(IDS);
      expect(await next.tells("took")).toMatchObject({ ids: chain.map(({ program }) => program.pid) });
      expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS });
      await next.tells("listening");
      expect(next.told.filter((event) => event !== "closed")).toEqual(["took", "takenOver", "listening"]);
      chain.push(next);
    }
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it("stays with a program whose successor fails, and goes to the next one", async () => {
    const { first, run, clients } = await startServer(IDS);
    const refusing = run({ take: "throws" });
    const message = "1 ids can't be taken";
    expect(await refusing.tells("takeoverFailed")).toMatchObject({ message });
    expect(await first.tells("successorFailed")).toMatchObject({ message, wasRefused: false, lost: 0 });
    await allAnswered(clients);
    first.forget();
    const killed = run(IDS, "suspend");
    expect((await killed.end()).signal).toBe("SIGKILL");
    expect(await first.tells("successorFailed")).toMatchObject({ code: "ERR_TAKEOVER_LOST", lost: 0 });
    expect(killed.told).toEqual(["took", "failing"]);
    const last = run(IDS);
    expect(await last.tells("took")).toMatchObject({ ids: [first.program.pid] });
    expect(await last.tells("takenOver")).toMatchObject({ connections: CLIENTS });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it("is missing where one of the two programs has no part in it, or fails to give it", async () => {
    const { first, run, clients } = await startServer(undefined);
    const programs = [IDS, { give: "throws" }, IDS] as const;
    let old = first;
    for (const [index, program] of programs.entries()) {
      const isLast = index === programs.length - 1;
      const next = run(program);
      expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS });
      await next.tells("listening");
      await old.end();
      expect(next.told).not.toContain("took");
      expect(old.told.includes("programStateLeft")).toBe(isLast);
      old = next;
    }
    await allAnswered(clients);
    await expectAllRight(clients);
  });
});
