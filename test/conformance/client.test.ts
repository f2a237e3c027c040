import { ClientRole } from "./client-role.ts";
import { holdAllCases } from "./hold.ts";

holdAllCases(new ClientRole("a client"));
