import { holdAllCases } from "./hold.ts";
import { ServerRole } from "./server-role.ts";

holdAllCases(new ServerRole("a server that relays", { sockets: "relay" }));
