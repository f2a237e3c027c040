import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import { Agent, createServer as createTlsServer, get } from "node:https";
import { type AddressInfo, connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import { answerUpgrade, serveUpgrades, type UpgradeAnswer } from "../../../src/wire/upgrade/serve.ts";
import { upgradeConnection } from "../../../src/wire/websocket/index.ts";
import { createCertificate, selfSigned } from "../../support/certificate.ts";
import { dialTls } from "../../support/half-open.ts";
import { RawClient, type RawResponse, upgradeRequest } from "../../support/raw-client.ts";
import { countLeaks, listen, startHttp } from "./leaks.ts";

countLeaks();

const foobar = (headers: Record<string, string | undefined> = {}): string =>
  upgradeRequest({ headers: { Upgrade: "foobar", ...headers } });

/** Serves `answer` to every request, and echoes on an accepted stream. */
async function serveAnswer(answer: UpgradeAnswer): Promise<{ port: number; outcomes: unknown[] }> {
  const { server, port } = await startHttp();
  const outcomes: unknown[] = [];
  serveUpgrades(server, (request) => {
    onUpgrade(request).then(
      (upgraded) => {
        outcomes.push("switched");
        upgraded.pipe(upgraded);
      },
      (error: unknown) => outcomes.push(error),
    );
    return answer;
  });
  return { port, outcomes };
}

async function ask(port: number, request: string): Promise<{ client: RawClient; response: RawResponse }> {
  const client = await RawClient.connect(port);
  client.write(request);
  return { client, response: await client.response() };
}

async function leave(client: RawClient): Promise<string> {
  client.socket.end();
  return client.rest();
}

describe("accepting an upgrade", () => {
  it("adds the headers that every 101 has, with the protocol of the request", async () => {
    const { port } = await serveAnswer({ status: 101 });
    const { client, response } = await ask(port, foobar());
    expect(response).toEqual({ status: 101, headers: { connection: "Upgrade", upgrade: "foobar" } });
    client.write("echo");
    expect(await leave(client)).toBe("echo");
  });

  it("sends the service's own headers instead, in whatever case", async () => {
    const { port } = await serveAnswer({
      status: 101,
      headers: { upgrade: "foobar/2", CONNECTION: "upgrade, x", "X-A": "é" },
    });
    const { client, response } = await ask(port, foobar({ Upgrade: "foobar/2, foobar/1" }));
    expect(response.headers).toEqual({ upgrade: "foobar/2", connection: "upgrade, x", "x-a": "é" });
    await leave(client);
  });

  it("keeps the body of the request apart from the bytes of the protocol", async () => {
    const { server, port } = await startHttp();
    const body = Promise.withResolvers<string>();
    serveUpgrades(server, async (request) => {
      let text = "";
      for await (const chunk of request) text += chunk;
      body.resolve(text);
      onUpgrade(request).then(
        (upgraded) => upgraded.pipe(upgraded),
        () => {},
      );
      return { status: 101 };
    });
    const { client } = await ask(port, `${foobar({ "Content-Length": "4" })}bodybytes`);
    expect(await body.promise).toBe("body");
    client.write(" more");
    expect(await leave(client)).toBe("bytes more");
  });

  it.each([
    ["no protocol when several are offered", { status: 101 }, foobar({ Upgrade: "foobar/2, foobar/1" })],
    ["a body's length", { status: 101, headers: { "Content-Length": "0" } }, foobar()],
    ["a transfer encoding", { status: 101, headers: { "transfer-encoding": "chunked" } }, foobar()],
  ] as const)("answers with 500 when the service returns an answer with %s", async (_name, answer, request) => {
    const { port, outcomes } = await serveAnswer(answer);
    const { client, response } = await ask(port, request);
    expect(response.status).toBe(500);
    await leave(client);
    expect(outcomes).toEqual([expect.objectContaining({ code: "ERR_UPGRADE_ANSWER", kind: "misuse" })]);
  });
});

describe("refusing", () => {
  it.each([400, 403, 404, 426, 500, 503])("answers with %i, and closes", async (status) => {
    const { port, outcomes } = await serveAnswer({ status, headers: { "X-Why": "because" }, body: "not now" });
    const { client, response } = await ask(port, foobar());
    expect(response).toMatchObject({ status, headers: { "x-why": "because", connection: "close" } });
    expect(await leave(client)).toBe("not now");
    expect(outcomes).toEqual([expect.objectContaining({ code: "ERR_UPGRADE_REFUSED" })]);
  });

  it.each([
    ["200 to an upgrade", { status: 200 }, foobar()],
    ["101 to CONNECT", { status: 101 }, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"],
    ["an invalid status", { status: 42 }, foobar()],
    ["no answer at all", undefined, foobar()],
    ["a header that can't be sent", { status: 101, headers: { "X-Bad": "a\r\nb: c" } }, foobar()],
    ["a refusal with a header that can't be sent", { status: 400, headers: { "X Bad": "a" } }, foobar()],
  ])("answers with 500 when the service returns %s", async (_name, answer, request) => {
    const { port, outcomes } = await serveAnswer(answer as UpgradeAnswer);
    const { client, response } = await ask(port, request);
    expect(response.status).toBe(500);
    await leave(client);
    expect(outcomes).toHaveLength(1);
    expect(outcomes[0]).toBeInstanceOf(Error);
  });

  it("answers with 500 when the service throws, at once or later", async () => {
    for (const service of [
      () => {
        throw new Error("at once");
      },
      () => Promise.reject(new Error("later")),
    ]) {
      const { server, port } = await startHttp();
      serveUpgrades(server, service);
      const { client, response } = await ask(port, foobar());
      expect(response.status).toBe(500);
      await leave(client);
    }
  });

  it("shows the error of a service if nobody has asked for the stream", async () => {
    const warned: NodeJS.ErrnoException[] = [];
    const listen = (warning: Error): void => void warned.push(warning);
    process.on("warning", listen);
    onTestFinished(() => void process.off("warning", listen));
    const { server, port } = await startHttp();
    serveUpgrades(server, (request) => upgradeConnection(request, { maxPayload: 5 } as never).response);
    const shown = (): typeof warned => warned.filter(({ code }) => code === "upgradeFailed");
    const message = expect.stringContaining('unknown option "maxPayload"');
    // Another test may have caused the one warning of this second.
    await vi.waitFor(async () => {
      const { client, response } = await ask(port, foobar());
      expect(response.status).toBe(500);
      await leave(client);
      expect(shown()).toContainEqual(expect.objectContaining({ name: "SwitchboardWarning", message }));
    });
  });

  it("refuses an upgrade with an unread body", async () => {
    const { port } = await serveAnswer({ status: 413 });
    const { client, response } = await ask(port, `${foobar({ "Content-Length": "100000" })}${"b".repeat(50_000)}`);
    expect(response.status).toBe(413);
    await leave(client);
  });
});

describe("serving", () => {
  it("stops when the returned function is called, and doesn't affect open streams", async () => {
    const { server, port } = await startHttp();
    const stop = serveUpgrades(server, (request) => {
      onUpgrade(request).then(
        (upgraded) => upgraded.pipe(upgraded),
        () => {},
      );
      return { status: 101 };
    });
    const { client } = await ask(port, foobar());
    stop();
    expect([server.listenerCount("upgrade"), server.listenerCount("connect")]).toEqual([0, 0]);
    client.write("still there");
    expect(await leave(client)).toBe("still there");
  });

  it("leaves plain requests to the server", async () => {
    const { server, port } = await startHttp();
    server.on("request", (_request, response) => response.end("plain"));
    serveUpgrades(server, () => ({ status: 400 }));
    const response = await fetch(`http://127.0.0.1:${port}`, { headers: { Connection: "close" } });
    expect(await response.text()).toBe("plain");
    server.closeAllConnections();
  });

  it("answers one exchange from the caller's own listener, even if its socket is gone by then", async () => {
    const { server, port } = await startHttp();
    const upgrading = once(server, "upgrade") as Promise<[IncomingMessage, Duplex, Buffer]>;
    const client = await RawClient.connect(port);
    client.write(foobar());
    const [request, socket, head] = await upgrading;
    socket.destroy();
    await client.closed();
    let asked = false;
    await answerUpgrade(request, socket, head, () => {
      asked = true;
      return { status: 101 };
    });
    expect(asked).toBe(false);
    await expect(onUpgrade(request)).rejects.toMatchObject({ code: "ERR_UPGRADE_ABANDONED" });
  });

  it.each(["the request line", "the headers", "the request", "the 101", "a byte of the protocol"])(
    "survives peers that vanish after %s, by an end and by a reset",
    async (step) => {
      const { port } = await serveAnswer({ status: 101 });
      const request = foobar();
      const cut = { "the request line": 10, "the headers": request.length - 2 }[step] ?? request.length;
      for (const how of ["end", "reset"]) {
        const client = await RawClient.connect(port);
        client.write(request.slice(0, cut));
        if (step === "the 101" || step === "a byte of the protocol") await client.response();
        if (step === "a byte of the protocol") client.write("x");
        if (how === "end") client.socket.end();
        else client.reset();
        await client.rest().catch(() => {});
      }
    },
  );
});

/** A forward proxy, and a server behind it that answers in capitals. */
async function startProxy(): Promise<{ proxy: Server; port: number; authority: string }> {
  const origin = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => socket.write(String(chunk).toUpperCase())).on("end", () => socket.end());
  });
  const originPort = await listen(origin);
  const { server: proxy, port } = await startHttp();
  serveUpgrades(proxy, async (request) => {
    const { hostname, port } = new URL(`http://${request.url}`);
    const target = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    onTestFinished(() => {
      target.destroy();
    });
    try {
      await once(target, "connect");
    } catch {
      return { status: 502 };
    }
    onUpgrade(request)
      .then((client) => Promise.all([pipeline(client, target), pipeline(target, client)]))
      .catch(() => target.destroy());
    return { status: 200, headers: { "Proxy-Agent": "test" } };
  });
  return { proxy, port, authority: `127.0.0.1:${originPort}` };
}

const connectTo = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;

describe("serving CONNECT", () => {
  it("opens a tunnel with a 200 without length or encoding, and carries the bytes that came with the request", async () => {
    const { port, authority } = await startProxy();
    const { client, response } = await ask(port, `${connectTo(authority)}early `);
    expect(response).toEqual({ status: 200, headers: { "proxy-agent": "test" } });
    client.write("late");
    expect(await leave(client)).toBe("EARLY LATE");
  });

  it("serves Node's own https client", async () => {
    const certificate = createCertificate();
    const origin = createTlsServer(certificate, (_request, response) => response.end("from behind the proxy"));
    const originPort = await listen(origin);
    const { port } = await startProxy();
    const agent = new Agent({ proxyEnv: { HTTPS_PROXY: `http://127.0.0.1:${port}` }, ca: certificate.cert });
    const options = { host: "127.0.0.1", port: originPort, agent, ca: certificate.cert };
    const [response]: [IncomingMessage] = (await once(get(options), "response")) as never;
    expect(await text(response)).toBe("from behind the proxy");
    agent.destroy();
  });

  it("refuses when the target can't be reached", async () => {
    const { port } = await startProxy();
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port: nobody } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const { client, response } = await ask(port, connectTo(`127.0.0.1:${nobody}`));
    expect(response.status).toBe(502);
    await leave(client);
  });

  it("closes both sides when the peer resets the tunnel", async () => {
    const { proxy, port, authority } = await startProxy();
    const { client } = await ask(port, connectTo(authority));
    client.reset();
    await vi.waitFor(
      () =>
        new Promise<void>((resolve, reject) => {
          proxy.getConnections((_error, count) => (count === 0 ? resolve() : reject(new Error(`${count} are open`))));
        }),
    );
  });
});

it("answers a peer that ends its direction before it is answered, over TLS", async () => {
  const server = createTlsServer(selfSigned());
  const port = await listen(server);
  const requested = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<UpgradeAnswer>();
  serveUpgrades(server, (request) => {
    void onUpgrade(request).then((upgraded) => upgraded.pipe(upgraded));
    requested.resolve();
    return answer.promise;
  });
  server.on("request", (_, response) => response.end());
  const client = dialTls(port).end(`${foobar()}hello`);
  await requested.promise;
  // The server has read the peer's end before it closes a later connection.
  await dialTls(port).end("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").toArray();
  answer.resolve({ status: 101 });
  expect(await text(client)).toMatch(/^HTTP\/1.1 101 .*\r\n\r\nhello$/s);
});
