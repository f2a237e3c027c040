/** Switchboard as the server of the scenario `deploy`, which `switchboard run` replaces. */
import { Switchboard } from "../../../src/index.ts";

const [port = "0", shards = "2"] = process.argv.slice(2);
const actor = new URL("./echo.ts", import.meta.url);
const board = await Switchboard.start({ actor, shards: Number(shards), takeover: true });
board.on("takenOver", ({ connections, ms }) => console.log(`takenOver ${JSON.stringify({ connections, ms })}`));
board.on("handedOver", ({ pauseMs }) => console.log(`handedOver ${JSON.stringify({ pauseMs })}`));
board.closeOnSignals();
const address = await board.listen({ port: Number(port), host: "127.0.0.1" });
console.log(`listening on ${address.port}`);
