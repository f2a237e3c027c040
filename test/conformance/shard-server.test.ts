import { holdAllCases } from "./hold.ts";
import { ServerRole } from "./server-role.ts";

holdAllCases(new ServerRole("a server whose shards do the handshake", { handshake: "shard" }));
