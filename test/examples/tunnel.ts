// A forward proxy by CONNECT, and a client that talks to a TCP server through it. The proxy connects only to hosts on
// its list.
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { pipeline } from "node:stream/promises";
import { onUpgrade, openTunnel, serveUpgrades } from "../../src/wire/upgrade/index.ts"; // your own: "switchboard/upgrade"

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

// A service that knows nothing of the proxy: it answers in capitals.
const shouting = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("data", (chunk) => socket.write(String(chunk).toUpperCase())).on("end", () => socket.end());
});
const shoutingPort = await listen(shouting);

// The proxy: connects first, then answers 200.
const known = [`127.0.0.1:${shoutingPort}`, "127.0.0.1:1"];
const proxy = createHttpServer();
serveUpgrades(proxy, async (request: IncomingMessage) => {
  const authority = request.url ?? "";
  if (request.method !== "CONNECT" || !known.includes(authority)) return { status: 403 };
  const { hostname, port } = new URL(`http://${authority}`);
  const target = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  try {
    await once(target, "connect");
  } catch {
    return { status: 502 };
  }
  // Passes on the end of either side. An error on one side destroys the other.
  onUpgrade(request)
    .then((client) => Promise.all([pipeline(client, target), pipeline(target, client)]))
    .catch((error: unknown) => {
      target.destroy();
      console.error(`proxy: ${error}`);
    });
  return { status: 200 };
});
const proxyUrl = `http://127.0.0.1:${await listen(proxy)}`;

// The client.
const { response, upgraded } = await openTunnel(proxyUrl, `127.0.0.1:${shoutingPort}`);
console.log(`tunnel: ${response.statusCode}`);
const tunnel = await upgraded;
tunnel.write("is anybody ");
tunnel.end("there?");
let answer = "";
for await (const chunk of tunnel) answer += chunk;
console.log(`answer: ${answer}`);

for (const authority of ["127.0.0.1:1", "secret.example:443"]) {
  const refused = await openTunnel(proxyUrl, authority);
  await refused.upgraded.catch((error: Error) => console.log(`${authority}: ${error.message}`));
}
proxy.close();
shouting.close();
