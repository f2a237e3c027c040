/** Sends itself more descriptors than it may open, for tests. Prints the error, and how many are left open. */
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { receiveDescriptors, sendDescriptors } from "../../../../src/wire/native/pass-descriptors.ts";
import { descriptorOf } from "../../../../src/wire/node-internals/net.ts";

const folder = mkdtempSync(join(tmpdir(), "passing-"));
const server = createServer({ pauseOnConnect: true });
server.listen(join(folder, "socket"));
await once(server, "listening");
const client = connect({ path: join(folder, "socket") });
client.pause();
const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [[Socket], unknown];
const openNow = (): number => readdirSync("/proc/self/fd").length;
sendDescriptors(descriptorOf(client), new Array(50).fill(1));
const before = openNow();
let code: unknown;
try {
  receiveDescriptors(descriptorOf(accepted));
} catch (error) {
  ({ code } = error as { readonly code?: unknown });
}
console.log(JSON.stringify({ code, leaked: openNow() - before }));
rmSync(folder, { recursive: true });
process.exit();
