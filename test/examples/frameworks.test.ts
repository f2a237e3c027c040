import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Peer, type StandardSocketClass } from "../e2e/support/peer.ts";
import { projectFolder, RunningProgram } from "../e2e/support/process.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";

const socketClass = WebSocket as unknown as StandardSocketClass;

async function start(example: string): Promise<{ program: RunningProgram; origin: string }> {
  const program = new RunningProgram(process.execPath, [join(projectFolder, "test/examples", example)], {
    env: { ...process.env, PORT: "0" },
  });
  onTestFinished(() => program.destroy());
  const [, port] = await program.prints(/listening on (\d+)/);
  return { program, origin: `localhost:${port}` };
}

describe.each(["express.ts", "fastify.ts", "hono.ts"])("%s", (example) => {
  it("serves the framework's routes and the board's WebSockets on one port, and ends cleanly", async () => {
    const { program, origin } = await start(example);
    const open = (room: string): Promise<Peer> => Peer.open(socketClass, `ws://${origin}/chat/${room}`);
    const [one, two, elsewhere] = await Promise.all([open("lobby"), open("lobby"), open("attic")]);
    for (const peer of [one, two]) expect(await peer.next()).toBe("welcome to lobby");
    expect(await elsewhere.next()).toBe("welcome to attic");

    const hello = await fetch(`http://${origin}/hello/you`);
    expect(await hello.json()).toEqual({ hello: "you" });
    expect((await fetch(`http://${origin}/chat/lobby`)).status).toBe(404);

    one.send("to the room");
    expect(await two.next()).toBe("to the room");
    const headers = { "Content-Type": "text/plain" };
    const posted = await fetch(`http://${origin}/chat/lobby`, { method: "POST", headers, body: "from a route" });
    expect(posted.status).toBe(202);
    expect(await one.next()).toBe("from a route");
    expect(await two.next()).toBe("from a route");

    program.kill("SIGTERM");
    for (const peer of [one, two, elsewhere]) expect(await peer.closed).toMatchObject({ code: 1001, wasClean: true });
    const { code, stderr } = await program.exit;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("answers 404 to a WebSocket on a path that no one handles", async () => {
    const { origin } = await start(example);
    const client = await RawClient.connect(Number(new URL(`http://${origin}`).port));
    client.write(upgradeRequest({ path: "/hello/you" }));
    expect((await client.response()).status).toBe(404);
    await client.closed();
  });
});
