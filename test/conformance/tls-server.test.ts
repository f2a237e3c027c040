import { holdAllCases } from "./hold.ts";
import { holdAllOffers } from "./hold-offers.ts";
import { ServerRole } from "./server-role.ts";

const role = new ServerRole("a server whose shards do TLS", { tls: true });
holdAllCases(role);
holdAllOffers(role);
