import { createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { RawClient } from "../support/raw-client.ts";
import { launchDemo, startDemo } from "./support/demo.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";

interface ChatEvent {
  readonly type: string;
  readonly name?: string;
  readonly text?: string;
}

/** Reads messages of the chat until one is the wanted one. */
async function seen(peer: Peer, isWanted: (event: ChatEvent) => boolean): Promise<ChatEvent> {
  for (;;) {
    const event = (await peer.nextJson()) as ChatEvent;
    if (isWanted(event)) return event;
  }
}

const socketClass = WebSocket as unknown as StandardSocketClass;

it("serves a page whose policy allows only its own code and connections to its server", async () => {
  const { url } = await startDemo();
  const response = await fetch(url);
  expect(response.status).toBe(200);
  const policy = response.headers.get("content-security-policy");
  expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+';/);
  const page = await response.text();
  expect(page.length).toBeLessThan(15_000);
  expect(page).not.toMatch(/innerHTML|(src|href)="https?:/);
});

it.each([
  ["GET", "elsewhere", 404],
  ["GET", "/", 404],
  ["POST", "", 405],
])("answers %s /%s with %i", async (method, path, status) => {
  const { url } = await startDemo();
  expect((await fetch(url + path, { method })).status).toBe(status);
});

it.each(["SIGTERM", "SIGINT"] as const)("closes its connections with 1001 and ends with 0 on %s", async (signal) => {
  const { demo, port } = await startDemo();
  const peer = await Peer.open(socketClass, `ws://127.0.0.1:${port}/chat/lobby`);
  demo.kill(signal);
  expect(await peer.closed).toMatchObject({ code: 1001, wasClean: true });
  expect(await demo.exit).toMatchObject({ code: 0, stderr: "" });
});

it("loads the code of the chat anew on SIGHUP, and everybody goes on with their names", async () => {
  const { demo, port } = await startDemo();
  const peers = await Promise.all([1, 2].map(() => Peer.open(socketClass, `ws://127.0.0.1:${port}/chat/lobby`)));
  for (const [index, peer] of peers.entries()) {
    await peer.nextJson();
    peer.send(JSON.stringify({ type: "name", name: `guest ${index}` }));
  }
  const [one, two] = peers as [Peer, Peer];
  for (const peer of peers) await seen(peer, (event) => event.type === "joined" && event.name === "guest 1");
  for (let reload = 0; reload < 2; reload++) {
    demo.kill("SIGHUP");
    const reloaded = "Reloaded: 2 connections go on, 0 closed, \\d+ ms\\.\n";
    await demo.prints(new RegExp(`(?:${reloaded}){${reload + 1}}`));
    one.send(JSON.stringify({ type: "say", text: `still here ${reload}` }));
    const said = (event: ChatEvent): boolean => event.type === "said" && event.text === `still here ${reload}`;
    expect(await seen(two, said)).toMatchObject({ name: "guest 0" });
    expect(await seen(one, said)).toMatchObject({ name: "guest 0" });
  }
});

it("exits with 0 while a browser holds a connection on which it has sent nothing", async () => {
  const { demo, port } = await startDemo();
  const idle = await RawClient.connect(port);
  demo.kill("SIGTERM");
  expect(await demo.exit).toMatchObject({ code: 0, stderr: "" });
  await idle.closed();
});

it("exits at once on a second signal", async () => {
  const { demo, port } = await startDemo();
  // A peer that never answers the close frame: the shutdown would wait for it.
  const silent = await RawClient.open({ port, path: "/chat/lobby" });
  expect(await silent.text()).toContain("welcome");
  demo.kill("SIGTERM");
  expect(await silent.closeFrame()).toMatchObject({ code: 1001 });
  demo.kill("SIGINT");
  expect(await demo.exit).toMatchObject({ code: null, signal: "SIGINT" });
});

it("prints one line when its port is in use", async () => {
  const other = createServer().listen(0);
  onTestFinished(() => {
    other.close();
  });
  const { port } = other.address() as { port: number };
  const { code, stderr } = await launchDemo(port).exit;
  expect(code).toBe(1);
  expect(stderr).toMatch(
    new RegExp(`^The demo can't start: .*EADDRINUSE.*:${port}; choose another port with PORT=8081\n$`),
  );
});

it.each(["http", "65536", "-1"])("prints one line when the port is %s, which isn't a valid port", async (port) => {
  const { code, stderr } = await launchDemo(port).exit;
  expect(code).toBe(1);
  expect(stderr).toBe("The demo can't start: PORT takes an integer from 0 to 65535\n");
});
