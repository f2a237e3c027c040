/**
 * Measures `switchboard serve` beside a raw actor, a bare `node:http` server, and Socket.IO if it is installed. Run by
 * hand.
 *
 *     node bench/serve.ts [--only fanout,connect,idle,api,reconnect] [--rounds 5] [--seconds 1] [--clients 1000]
 *
 * README.md ("The realtime server") says what is counted.
 */
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { measureApi } from "./serve/api.ts";
import { measureConnect } from "./serve/connect.ts";
import { measureFanout } from "./serve/fanout.ts";
import { measureIdle } from "./serve/idle.ts";
import { measureReconnect } from "./serve/reconnect.ts";
import { pinLoad, startServer } from "./serve/run.ts";
import type { ServerProcess } from "./server-process.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "fanout,connect,idle,api,reconnect" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "1" },
    clients: { type: "string", default: "1000" },
  },
});
const settings = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  clients: Number(values.clients),
};
const wants = (part: string): boolean => values.only.split(",").includes(part);
const hasSocketIo = isInstalled("socket.io");
if (!hasSocketIo) console.log("Socket.IO isn't installed: npm install --no-save socket.io");

pinLoad();
const started: ServerProcess[] = [];
const start = async (...args: Parameters<typeof startServer>): Promise<ServerProcess> => {
  const server = await startServer(...args);
  started.push(server);
  return server;
};

try {
  if (wants("fanout") || wants("connect")) {
    const servers = {
      ours: await start("server.ts"),
      raw: await start("raw.ts"),
      socketIo: hasSocketIo ? await start("socket-io.ts") : undefined,
    };
    if (wants("connect")) await measureConnect(servers, settings);
    if (wants("fanout")) await measureFanout(servers, settings);
  }
  if (wants("api")) await measureApi(await start("server.ts"), await start("bare-http.ts"), settings);
  if (wants("idle")) await measureIdle(hasSocketIo, settings);
  if (wants("reconnect")) {
    const servers = {
      ours: await start("server.ts", { raised: true }),
      "bare ws": await start("bare-ws.ts", { raised: true }),
    };
    await measureReconnect(servers, settings);
  }
} finally {
  for (const server of started) await server.stop();
}
process.exit(0);

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}
