// A server and a client that switch from HTTP to a protocol of their own, foobar: lines of text, each answered with its
// length.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { onUpgrade, requestUpgrade, serveUpgrades } from "../../src/wire/upgrade/index.ts"; // your own: "switchboard/upgrade"

// The server's end of foobar. It greets first: its client has to wait for the 101 anyway.
async function speakFoobar(request: IncomingMessage): Promise<void> {
  const upgraded = await onUpgrade(request);
  upgraded.write("foobar speaks\n");
  for await (const line of createInterface({ input: upgraded })) {
    console.log(`server heard: ${line}`);
    upgraded.write(`${line.length}\n`);
  }
  upgraded.end();
}

const server = createServer((_request, response) => response.end("only foobar is spoken here\n"));
serveUpgrades(server, (request) => {
  if (request.headers.upgrade !== "foobar") return { status: 400, body: "only foobar is spoken here\n" };
  speakFoobar(request).catch((error: unknown) => console.error(`server: ${error}`));
  return { status: 101, headers: { Upgrade: "foobar" } };
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = server.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`;

// The client's end.
const { response, upgraded } = await requestUpgrade(url, "foobar");
console.log(`client got: ${response.statusCode} ${response.headers.upgrade}`);
const stream = await upgraded;
const questions = ["hello", "how long is this line?"];
for await (const line of createInterface({ input: stream })) {
  console.log(`client heard: ${line}`);
  const question = questions.shift();
  if (question === undefined) stream.end();
  else stream.write(`${question}\n`);
}

// Requests for any other protocol stay in HTTP.
const refused = await requestUpgrade(url, "barfoo");
for await (const chunk of refused.response) console.log(`client got: ${refused.response.statusCode} ${chunk}`.trim());
server.close();
